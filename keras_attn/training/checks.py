"""What `train` and `evaluate` ask of their arguments and of the model."""

import logging
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_attn._keras import classified
from keras_attn.data.image_dataset import ImageDataset

_LOG = logging.getLogger(__name__)
# What an image may pass and still have pixels of 0 to 255.
_PASSING = (keras.layers.InputLayer, keras.layers.ZeroPadding2D, keras.layers.Identity)
_WEIGHTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


def check_call(out: str | os.PathLike[str], *, overwrite: Any) -> None:
    """Raises a ValueError that names the first wrong one of `train`'s own arguments."""
    if not isinstance(overwrite, bool):
        raise ValueError(f"`overwrite` must be a bool. Received: overwrite={overwrite!r}")
    if Path(out).exists() and not Path(out).is_dir():
        raise ValueError(f"`out` must be a folder. Received: out={os.fspath(out)!r}, a file")


def check_finite(model: keras.Model, loss: float) -> None:
    """Raises a FloatingPointError unless the held-out loss and all weights are finite."""
    broken = {"held-out loss": np.asarray(loss)} | {
        f"weight {weight.path}": weight.numpy() for weight in model.weights
    }
    for what, values in broken.items():
        if not np.isfinite(values).all():
            raise FloatingPointError(
                f"The {what} became {values[~np.isfinite(values)][0]} at the end. Nothing was "
                "written. A lower `learning_rate` or a longer `warmup` may help."
            )


def check_model(model: Any, dataset: ImageDataset) -> None:
    """Raises a ValueError unless the model classifies the data set's images."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"`build_model` must return a keras.Model. Received: {model!r}")
    output = getattr(model, "output_shape", None)
    if has_own_loss(model):
        output = tuple(classified(model).shape)
    if not isinstance(output, tuple) or output[1:] != (dataset.num_classes,):
        raise ValueError(
            f"The model must end in the probabilities of the {dataset.num_classes} classes of "
            f"{dataset.name!r}, an output (B, {dataset.num_classes}). Received: model "
            f"{model.name!r} with output shape {output}"
        )
    shape = model.input_shape
    if (
        not isinstance(shape, tuple)
        or len(shape) != 4
        or any(a not in (None, b) for a, b in zip(shape[1:], dataset.image_shape, strict=True))
    ):
        raise ValueError(
            f"The model must take the images of {dataset.name!r}, (B, H, W, C) with (H, W, C) = "
            f"{dataset.image_shape}. Received: model {model.name!r} with input shape {shape}"
        )
    activation = getattr(model.layers[-1], "activation", keras.activations.softmax)
    if activation is not keras.activations.softmax:
        raise ValueError(
            "The model must end in a softmax. Received: model "
            f"{model.name!r}, whose last layer's activation is "
            f"{getattr(activation, '__name__', activation)!r}"
        )


def has_own_loss(model: keras.Model) -> bool:
    """Whether it is a classifier that gives more than probabilities, and its own loss for that.

    As `keras_attn.applications.RecurrentAttention` and `RACNN` make it: a dict of outputs, among
    them "probabilities".
    """
    output = getattr(model, "output", None)
    own = type(model).compute_loss is not keras.Model.compute_loss
    return own and isinstance(output, dict) and "probabilities" in output


def warn_of_raw_pixels(model: keras.Model) -> None:
    """Logs a warning where the first convolution meets pixels of 0 to 255 as they are."""
    if isinstance(_first_layer(model), _WEIGHTED):
        _LOG.warning(
            "The network %r takes pixels of 0 to 255 as they are, which it learns badly from. "
            "Build it with `include_preprocessing=True`, or begin with `Rescaling(1 / 255)`.",
            model.name,
        )


def _first_layer(model: keras.Model) -> keras.Layer | None:
    """The first layer that does something to the image."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            return _first_layer(layer)
        if not isinstance(layer, _PASSING):
            return layer
    return None
