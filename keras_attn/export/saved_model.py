"""A trained network as a SavedModel version folder that has been run before it is in place."""

import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from keras_attn.applications.imagenet import class_names_of_imagenet
from keras_attn.applications.preprocessing import takes_pixels
from keras_attn.export.check import check_saved_model
from keras_attn.export.endpoint import Endpoint, check_image_model, image_endpoint
from keras_attn.export.versions import find_versions
from keras_attn.weights import get_metadata

LABELS_FILE = "labels.txt"
SIGNATURE = "serving_default"


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    version: int | None = None,
    pixels: bool = False,
) -> pathlib.Path:
    """Writes `path/<version>/`, a SavedModel as TF Serving and `keras_attn.serving` load it.

    The one signature, `serving_default`, takes `image` and gives `probabilities` and `logits`
    where the network ends in a softmax, `outputs` where it ends otherwise, all in float32. Batch
    is dynamic, height and width are where the network leaves them open.

    The folder is written beside, loaded back, run and compared with `model`; only then is it
    moved into place. On a failure nothing is left behind.

    Args:
        model: A functional or Sequential network of one image input and one output.
        path: The base folder of the model, whose name a server takes for the model's. It and its
            parents are made where they are missing.
        class_names: The names of the classes in the order of the outputs. They become the asset
            `assets/labels.txt`, one a line. Default: those that belong to the model's weights,
            where there is one for each output.
        version: A positive integer that `path` does not hold yet. Default: one more than the
            highest there, else 1.
        pixels: Whether `image` is pixels in 0..255, which the signature normalises as belongs to
            the model's weights.

    Returns:
        The version folder.

    Example:
    ```python
    keras_attn.export.export_saved_model(model, "exports/digits", class_names=["zero", "one"])
    keras_attn.serving.serve("exports/digits")
    ```
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "A SavedModel is written with the TensorFlow backend of Keras. "
            f"Received: keras.backend.backend()={keras.backend.backend()!r}"
        )
    if tf.distribute.has_strategy():
        raise RuntimeError(
            "A SavedModel is written outside of `strategy.scope()`: inside it can't be run "
            f"and compared. Received: strategy={tf.distribute.get_strategy()}"
        )
    check_image_model(model)
    if pixels:
        model = takes_pixels(model)
    if class_names is None:
        class_names = _names_with_the_weights(model)
    labels = _checked_labels(class_names, model.outputs[0].shape)
    base = pathlib.Path(path)
    if base.exists() and not base.is_dir():
        raise ValueError(f"`path` must be a folder. Received: path={str(path)!r}")
    version = _checked_version(version, base)
    endpoint = image_endpoint(model)
    image = tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32, name="image")
    target = base / str(version)
    with _work_folder(base, version) as work:
        folder = work / "saved_model"
        _write(folder, endpoint, image=image, labels=labels, labels_file=work / LABELS_FILE)
        check_saved_model(folder, model, endpoint, signature=SIGNATURE)
        os.replace(folder, target)
    return target


def _write(
    folder: pathlib.Path,
    endpoint: Endpoint,
    *,
    image: tf.TensorSpec,
    labels: list[str] | None,
    labels_file: pathlib.Path,
) -> None:
    """Writes the SavedModel. `labels_file` is where the asset is copied from."""
    archive = keras.export.ExportArchive()
    archive.add_endpoint(SIGNATURE, endpoint, input_signature=[image])
    if labels is not None:
        labels_file.write_text("\n".join(labels) + "\n", encoding="utf-8", newline="\n")
        # An archive tracks lookup tables, and the file of a table is an asset.
        archive.track(_labels_table(labels_file))
    archive.write_out(str(folder), verbose=False)


def _labels_table(labels_file: pathlib.Path) -> tf.lookup.StaticHashTable:
    """The table int64 class -> name."""
    lines = tf.lookup.TextFileInitializer(
        str(labels_file),
        key_dtype=tf.int64,
        key_index=tf.lookup.TextFileIndex.LINE_NUMBER,
        value_dtype=tf.string,
        value_index=tf.lookup.TextFileIndex.WHOLE_LINE,
    )
    return tf.lookup.StaticHashTable(lines, default_value="")


def _names_with_the_weights(model: keras.Model) -> Sequence[str] | None:
    """The classes that the model's weights were trained for, if these are the outputs'."""
    metadata = get_metadata(model)
    labels = None if metadata is None else metadata.labels
    if labels == "imagenet":
        labels = class_names_of_imagenet()
    fits = isinstance(labels, tuple) and len(labels) == model.outputs[0].shape[-1]
    return labels if fits else None


def _checked_labels(
    class_names: Sequence[str] | None, output_shape: tuple[int | None, ...]
) -> list[str] | None:
    if class_names is None:
        return None
    labels = [] if isinstance(class_names, str) else list(class_names)
    lines = [isinstance(x, str) and x.strip() != "" and x.splitlines() == [x] for x in labels]
    if not labels or not all(lines):
        raise ValueError(
            "`class_names` must be a sequence of non-empty strings of one line each. "
            f"Received: class_names={class_names!r}"
        )
    if len(labels) != output_shape[-1]:
        raise ValueError(
            f"`class_names` must have one name for each of the model's {output_shape[-1]} outputs. "
            f"Received: {len(labels)} names, output shape={tuple(output_shape)}"
        )
    return labels


def _checked_version(version: int | None, base: pathlib.Path) -> int:
    taken = find_versions(base)
    if version is None:
        return max(taken, default=0) + 1
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"`version` must be a positive integer. Received: version={version!r}")
    if version in taken:
        raise ValueError(
            "`version` must be a new one, a version that exists is not overwritten. "
            f"Received: version={version}, and {taken[version]} exists"
        )
    return version


@contextmanager
def _work_folder(base: pathlib.Path, version: int) -> Iterator[pathlib.Path]:
    """A folder in `base` that no server takes for a version; gone afterwards.

    So are `base` and those of its parents that had to be made, unless something is in them.
    """
    made = [folder for folder in (base, *base.parents) if not folder.exists()]
    base.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(dir=base, prefix=f".{version}-"))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        for folder in made:
            if any(folder.iterdir()):
                break
            folder.rmdir()
