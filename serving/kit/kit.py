"""Writes the kit: templates with a model's name, versions and image in them."""

import errno
import os
import pathlib
import re
import shutil
import string
import textwrap

from keras_attn._checks import check_positive_int
from keras_attn._staging import staging
from keras_attn._versions import find_versions

TEMPLATES = pathlib.Path(__file__).parent / "templates"
CLIENTS = pathlib.Path(__file__).parent.parent / "clients"
# What the ConfigMap of Kubernetes holds: the template's word for it, and its file.
IN_CONFIGMAP = {
    "models_config": "models.config",
    "batching_parameters": "batching_parameters.txt",
    "monitoring_config": "monitoring.config",
}
PROGRAMS = ("client.py", "grpc_client.py", "load.py")
# The newest that TF Serving's release notes named in 2026-11.
IMAGE = "tensorflow/serving:2.20.0"
# Neither curl nor wget is in the image; bash can open a connection. The server answers 200 for a
# model that isn't there yet, too: only AVAILABLE counts. As it stands between YAML's quotes.
HEALTH = (
    "exec 3<>/dev/tcp/127.0.0.1/8501 && "
    r"printf 'GET /v1/models/{name} HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q AVAILABLE <&3"
)


class _Template(string.Template):
    """`@{name}`: `$` and `{{` belong to Compose and KServe."""

    delimiter = "@"


def write_kit(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    name: str | None = None,
    image: str = IMAGE,
    claim: str = "models",
    cores: int = 4,
    overwrite: bool = False,
) -> pathlib.Path:
    """Writes configuration, Compose, Kubernetes and KServe files and clients for a model.

    Of several versions, the newest but one has the label `stable` and the newest `canary`; a single
    one is `stable`.

    Args:
        model: Base folder of the model, as `export_saved_model` wrote it.
        out: The folder; it must not be there, be empty, or be a kit that `overwrite` replaces.
        name: The model's name. Default: the folder's.
        image: Container image of TF Serving. `<image>-gpu` is taken for GPUs.
        claim: The persistent volume claim that holds the model's folder, by its name.
        cores: Cores of each server: as many batches run at once, and Kubernetes is asked for them.
        overwrite: Whether to replace a kit in `out`, whole, once the new one has been written.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: If the model has no version.
        ValueError: If another argument is wrong.

    Example:
    ```python
    keras_attn.serving.kit.write_kit("served/digits", "kit")
    ```
    """
    base, out = pathlib.Path(model).resolve(), pathlib.Path(out)
    name = base.name if name is None else name
    versions = list(find_versions(base))
    if not versions:
        raise FileNotFoundError(
            "`model` must be a base folder with versions in it, as `export` wrote it. "
            f"Received: model={os.fspath(model)!r}"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ValueError(
            "`name` must be of letters, digits, '_', '.' and '-', and begin with one of the first "
            f"two. Received: name={name!r}"
        )
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", claim):
        raise ValueError(f"`claim` must be a name of Kubernetes. Received: claim={claim!r}")
    if not re.fullmatch(r"[\w./:@-]+", image):
        raise ValueError(f"`image` must be a container image. Received: image={image!r}")
    cores = check_positive_int("cores", cores)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        is_kit = all((out / file).is_file() for file in (*IN_CONFIGMAP.values(), *PROGRAMS))
        if not is_kit or not overwrite:
            hint = "; `overwrite=True` replaces the kit that is there" if is_kit else ""
            raise ValueError(
                f"`out` must be a new folder, or empty. Received: out={os.fspath(out)!r}{hint}"
            )

    served = versions[-2:]
    labels = dict(zip(("stable", "canary"), served, strict=False))
    values = {
        "model": str(base),
        "name": name,
        "resource": _resource(name),
        "image": image,
        "claim": claim,
        "cores": str(cores),
        "health": HEALTH.format(name=name),
        "version_list": ", ".join(map(str, served)),
        "versions": _indented([f"versions: {version}" for version in served], 8),
        "labels": _indented(
            [f'version_labels {{ key: "{key}" value: {value} }}' for key, value in labels.items()],
            4,
        ),
    }
    place = out.resolve()  # where it is a link, the folder that it leads to
    with staging(place) as work:
        folder = work / "kit"
        for key, file in IN_CONFIGMAP.items():
            text = _fill(TEMPLATES / file, values)
            values[key] = textwrap.indent(text.rstrip("\n"), "    ")
        for template in sorted(path for path in TEMPLATES.rglob("*") if path.is_file()):
            target = folder / template.relative_to(TEMPLATES)
            if target.name == "env":
                target = target.with_name(".env")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_fill(template, values), encoding="utf-8")
        for program in PROGRAMS:
            shutil.copy(CLIENTS / program, folder / program)
        os.chmod(folder, 0o755)
        try:
            if overwrite and place.exists():
                os.replace(place, work / "earlier")
            os.replace(folder, place)
        except OSError as error:
            if (work / "earlier").exists():
                os.replace(work / "earlier", place)
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            raise ValueError(
                "`out` must be a new folder, or empty; another process has just written there. "
                f"Received: out={os.fspath(out)!r}"
            ) from error
    return out


def _resource(name: str) -> str:
    """A name that Kubernetes takes for a Service, also with a suffix behind: letters first."""
    resource = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")
    resource = resource if resource[:1].isalpha() else f"model-{resource}"
    return resource[:40].strip("-")


def _fill(template: pathlib.Path, values: dict[str, str]) -> str:
    return _Template(template.read_text(encoding="utf-8")).substitute(values)


def _indented(lines: list[str], spaces: int) -> str:
    return textwrap.indent("\n".join(lines), " " * spaces)
