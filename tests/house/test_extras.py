"""Each extra alone is enough for its room, and each package that is missing says what brings it.

What is read here is what a room's modules import when they are imported. That each extra installs
alone and does something is for `tests/programs/extras_check.py`, which takes minutes.
"""

import ast
import functools
import importlib
import os
import subprocess
import sys
import tomllib

import pytest

from helpers.paths import ROOT
from keras_attn._extras import EXTRAS, explain_missing, need
from keras_attn.cli import main
from keras_attn.cli.inspection import predict

# h5py comes with Keras; `client` is a file beside serving/clients/load.py.
CORE = {"keras", "numpy", "h5py", "filelock", "rich", "shtab", "keras_attn", "client"}
# Module -> what installs it, where the names differ; protobuf comes with TensorFlow.
PACKAGES = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "google": "tensorflow",
    "grpc": "grpcio",
    "grpc_health": "grpcio-health-checking",
    "tensorflow_serving": "tensorflow-serving-api",
}
ROOMS = {
    "": [],
    "layers": [],
    "weights": [],
    "insertion": [],
    "applications": [],
    "cost": [],
    "data": [],
    "cli": [],
    "export": ["tensorflow"],
    "training": ["tensorflow"],
    "finetune": ["tensorflow"],
    "explain": ["train", "export", "report"],
    "report": ["report"],
    "serving": ["serving"],
    "serving.kit": ["serving"],
}


def file_of(module):
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path if path.exists() else None


@functools.cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree, *, at_once):
    """The modules that a file imports: all of them, or those at once when it is imported itself."""
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        later = isinstance(node, ast.FunctionDef) or (
            isinstance(node, ast.If)
            and (isinstance(node.test, ast.Name) or "backend" in ast.dump(node.test))
        )
        if not (at_once and later):
            nodes += ast.iter_child_nodes(node)


def imported_with(module):
    """The packages that are imported when a module of ours is."""
    seen, found, todo = set(), set(), [module]
    while todo:
        name = todo.pop()
        if not name.startswith("keras_attn"):
            found.add(name.split(".")[0])
        elif name not in seen and file_of(name):
            seen.add(name)
            todo += imports(parsed(file_of(name)), at_once=True)
            todo.append(name.rpartition(".")[0] or "keras_attn")
    return found - CORE - sys.stdlib_module_names


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_an_extra_alone_imports_its_room(room):
    packages = imported_with(f"keras_attn.{room}" if room else "keras_attn")
    for extra in ROOMS[room]:
        lacking = {name for name in packages if not {extra, "tensorflow"} & set(EXTRAS[name])}
        assert not lacking, f"keras_attn[{extra}] brings no {lacking}"
    assert ROOMS[room] or not packages


def test_every_package_is_known_and_its_extra_brings_it():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = extras["optional-dependencies"]
    for module, bringing in EXTRAS.items():
        package = PACKAGES.get(module, module.replace("_", "-"))
        for extra in bringing:
            names = {line.split(">")[0].split("=")[0].replace("_", "-") for line in extras[extra]}
            assert package in names, f"{module}: keras-attn[{extra}] has {names}"
    for folder in ("keras_attn", "applications", "serving"):
        for path in (ROOT / folder).rglob("*.py"):
            roots = {name.split(".")[0] for name in imports(parsed(path), at_once=False)}
            assert roots - CORE - sys.stdlib_module_names <= set(EXTRAS), path


def test_what_is_missing_says_what_brings_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"Install it with `pip install 'keras-attn\[export\]'`"):
        need("onnx", "onnxruntime")
    error = ModuleNotFoundError("No module named 'PIL'", name="PIL.Image")
    assert explain_missing(error).endswith("[export]'` or `pip install 'keras-attn[report]'`.")
    assert explain_missing(ImportError("of another kind")) == "of another kind"
    monkeypatch.setattr(predict, "check", lambda _: importlib.import_module("tensorflow.none"))
    assert main(["predict", "--run", "run", "image.png"]) == 1
    assert "`pip install 'keras-attn[tensorflow]'`" in capsys.readouterr().err


@pytest.mark.backend
@pytest.mark.parametrize("backend", ["jax"])
def test_the_tables_need_no_tensorflow(backend):
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from keras_attn.cli import main\n"
        "for command in ('models mnasnet', 'models --attention', 'recipes',\n"
        "                'recipes digits_se_resnet8'):\n"
        "    assert main(command.split()) == 0"
    )
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "mnasnet" in done.stdout and "cbam" in done.stdout
    assert "imagenet_se_resnet50" in done.stdout and "depth = 8" in done.stdout
