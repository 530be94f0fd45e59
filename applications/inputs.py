"""What a network is given, and what its outputs are called, as far as it says so itself."""

from __future__ import annotations

import dataclasses

import keras

from keras_attn.applications.common.preprocessing import Normalisation
from keras_attn.applications.imagenet import class_names_of_imagenet
from keras_attn.applications.segmentation.resizing import ResizeBy
from keras_attn.images import Preprocessing
from keras_attn.weights import get_metadata


def find_preprocessing(model: keras.Model) -> Preprocessing | None:
    """What a network is given, as far as it can be known.

    A network that begins with `Rescaling` or `Normalization`, as `include_preprocessing=True` makes
    it, takes pixel values. Another takes what its weights ask for, if they say so; and so do crop
    and interpolation come from there. Without it, the whole image is resized.

    Args:
        model: A functional or Sequential network of one image input `(B, H, W, C)`.

    Returns:
        The preprocessing, or `None` where nothing is known.
    """
    metadata = get_metadata(model)
    takes_pixels = _begins_with_pixels(model)
    if metadata is None and not takes_pixels:
        return None
    sides = tuple(model.inputs[0].shape[1:3])
    size = None if None in sides else sides
    if metadata is None:
        return Preprocessing(size)
    found = Preprocessing(
        size or (metadata.size, metadata.size),
        crop=metadata.crop,
        interpolation="bicubic" if metadata.interpolation == "bicubic" else "bilinear",
    )
    if takes_pixels:
        return found
    if model.inputs[0].shape[-1] != len(metadata.mean):
        return None  # of other channels nothing is known
    mean, std = Normalisation.of(metadata).in_pixels
    return dataclasses.replace(found, mean=tuple(mean), std=tuple(std))


def find_class_names(model: keras.Model) -> list[str] | None:
    """The names of a network's classes, if its weights have them and its head is theirs."""
    metadata = get_metadata(model)
    if metadata is None or metadata.labels is None:
        return None
    names = list(class_names_of_imagenet() if metadata.labels == "imagenet" else metadata.labels)
    return names if len(names) == model.outputs[0].shape[-1] else None


def _begins_with_pixels(model: keras.Model) -> bool:
    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    before = (keras.layers.InputLayer, ResizeBy)
    first = [layer for layer in model.layers if not isinstance(layer, before)][0]
    if isinstance(first, keras.Model):
        return _begins_with_pixels(first)
    return isinstance(first, kinds)
