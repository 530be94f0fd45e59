"""A trained network that a command is given: checked early, opened later."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from keras_attn.classifiers.kinds import Source, find_source
from keras_attn.cli.library import import_library, leave_out_start_up_lines
from keras_attn.cli.stages import library_log, say, stage

if TYPE_CHECKING:
    from keras_attn.classifiers.classifier import Classifier
    from keras_attn.classifiers.networks import NetworkClassifier

NETWORKS = (
    "folder of a run, finished or not; .keras file; tag of weights such as cifar10; or "
    "keras.applications.NAME"
)
EXPORTS = "SavedModel, .onnx or .tflite file, as `export` writes it"


def add_network(parser: argparse.ArgumentParser) -> None:
    """The network of a command that needs a Keras model."""
    parser.add_argument("source", metavar="SOURCE", help=f"A trained network: {NETWORKS}.")


def check_network(args: argparse.Namespace) -> None:
    """Finds out what `source` is; raises a ValueError where it is an export."""
    args.source = find_source(args.source)
    if not args.source.is_network:
        raise ValueError(
            f"`source` must be a {NETWORKS}. Received: source={args.source.place!r}, an export"
        )


def open_source(source: Source) -> Classifier:
    """Opens what was found."""
    if source.is_network:
        return open_network(source)
    if source.kind == "saved_model":
        import_library()
    else:  # their runtimes need neither Keras nor TensorFlow
        leave_out_start_up_lines()
    from keras_attn.classifiers.exports import open_export

    with stage(f"opening {source.place}"):
        return open_export(source)


def open_network(source: Source) -> NetworkClassifier:
    """Opens a Keras model, and says what was taken for granted of it."""
    import_library()
    from keras_attn.classifiers import networks

    with stage(f"opening {source.place}"), library_log():
        found = networks.open_network(source)
    for note in found.notes:
        say(note)
    return found


def pixels_of(classifier: Classifier, image: str) -> Any:
    """An image file as the classifier reads it: uint8 `(H, W, C)`."""
    return classifier.preprocessing.read(image, classifier.channels)
