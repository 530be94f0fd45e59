"""Settings that a network is made or trained with: of Keras, and of how it is given images."""

import contextlib
from collections.abc import Iterator

import keras

from keras_attn._keras import layers_of
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.weights import get_metadata


@contextlib.contextmanager
def dtype_policy(mixed_precision: str | None) -> Iterator[None]:
    """Lets layers that are made compute in 16 bits, where that is asked for."""
    before = keras.config.dtype_policy()
    if mixed_precision is not None:
        keras.config.set_dtype_policy(f"mixed_{mixed_precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def synchronized(network: keras.Model, is_on: bool) -> Iterator[None]:
    """Synchronizes all BatchNormalization while it trains; the saved network is as it was made."""
    changed = [
        layer
        for layer in layers_of(network)
        if is_on and isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized
    ]
    for layer in changed:
        layer.synchronized = True
    try:
        yield
    finally:
        for layer in changed:
            layer.synchronized = False


def as_weights_ask(dataset: ImageDataset, network: keras.Model) -> ImageDataset:
    """The data with photographs cropped and resized as a network's weights ask.

    What `load_dataset` was told goes before. Without weights that say so, the data stay as they
    are.
    """
    metadata = get_metadata(network)
    if metadata is None:
        return dataset
    crop = min(metadata.crop, 1.0)
    return dataset.fitted(crop, "bicubic" if metadata.interpolation == "bicubic" else "bilinear")
