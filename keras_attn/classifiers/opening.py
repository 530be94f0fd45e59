"""From a text to a classifier."""

from __future__ import annotations

import os

from keras_attn.classifiers.classifier import Classifier
from keras_attn.classifiers.exports import open_export
from keras_attn.classifiers.kinds import find_source
from keras_attn.classifiers.networks import open_network


def open_classifier(source: str | os.PathLike[str]) -> Classifier:
    """Opens a trained network, whatever it is kept as.

    Args:
        source: Path of a run's folder, finished or not; of a `.keras`, `.onnx` or `.tflite` file;
            of an export's version folder or base folder, whose highest version is taken. Or a tag
            of weights, such as `"cifar10"`; or `"keras.applications.NAME"`, with Keras's own.

    Raises:
        FileNotFoundError: If nothing of that name is there.
        ValueError: If it is none of these, or can't be read.
        ImportError: If what it takes to run it is not installed.

    Example:
        >>> classifier = open_classifier("cifar10")
        >>> [probabilities] = classifier.of_files(["cat.png"])
        >>> classifier.class_names[probabilities.argmax()]
        'cat'
    """
    found = find_source(source)
    return open_network(found) if found.is_network else open_export(found)
