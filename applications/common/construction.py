"""What every constructor does alike: check its arguments, make the input and the head, load.

The order of the checks, and their messages, are those of keras.applications, but for what
`CONTRIBUTING.md` lists under "Where we depart from keras.applications".
"""

from __future__ import annotations

import logging
import os
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras

from keras_attn._checks import check_one_of, check_positive_int
from keras_attn.applications.common.preprocessing import CIFAR, IMAGENET, Normalisation
from keras_attn.typing import Activation, Shape, Tensor
from keras_attn.weights.markers import LevelMarker, set_normalisation

if TYPE_CHECKING:
    from keras_attn.weights import Choice

LOGGER = logging.getLogger("keras_attn")


@dataclass(frozen=True)
class Images:
    """The images that a family was made for.

    Attributes:
        size: Side of the input where none is given.
        classes: How many classes there are.
        min_size: Least side of the input.
        normalisation: Normalisation of pixels in 0..255, where the weights don't say.
    """

    size: int
    classes: int
    min_size: int
    normalisation: Normalisation


OF_IMAGENET = Images(224, 1000, 32, IMAGENET)
OF_CIFAR10 = Images(32, 10, 8, CIFAR)
OF_CIFAR100 = Images(32, 100, 8, CIFAR)


def construct(
    body: Callable[[Tensor], Tensor],
    images: Images,
    default_name: str,
    dropout: float = 0.0,
    *,
    include_top: bool = True,
    include_preprocessing: bool = False,
    weights: str | os.PathLike[str] | Choice | None = None,
    input_tensor: Tensor = None,
    input_shape: Shape | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: Activation = "softmax",
    pyramid_outputs: bool | Sequence[str] = False,
    name: str | None = None,
) -> keras.Model:
    """Makes a network: input, preprocessing, body, head; then loads its weights.

    Args:
        body: Function of the image (B, H, W, C), which gives the last feature map.
        images: The images that the network was made for.
        default_name: Name of the model where the user gave none.
        dropout: Rate before the classifier.
        include_top: As in `Common`, and so are the others.
        include_preprocessing: The same.
        weights: The `Choice` that `choose` made of the user's `weights`, or `None`.
        input_tensor: As in `Common`.
        input_shape: The same.
        pooling: The same.
        classes: The same; `None` takes those of the images.
        classifier_activation: The same.
        pyramid_outputs: The same.
        name: The same.

    Returns:
        A functional model; without its top a `Backbone`.

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.
    """
    classes = images.classes if classes is None else classes
    if isinstance(weights, str | os.PathLike):
        raise TypeError(f"`weights` must have been chosen by now. Received: weights={weights!r}")
    _check(include_top, weights, pooling, classes, classifier_activation, pyramid_outputs)
    normalisation = images.normalisation
    if weights is not None and weights.metadata is not None:
        normalisation = Normalisation.of(weights.metadata)
    shape = _checked_shape(input_shape, images, include_top)
    if input_tensor is None:
        image = keras.layers.Input(shape=shape)
    elif not keras.backend.is_keras_tensor(input_tensor):
        image = keras.layers.Input(tensor=input_tensor, shape=shape)
    else:
        image = input_tensor

    x = body(normalisation.apply(image) if include_preprocessing else image)
    if pyramid_outputs:
        x = _chosen_levels(pyramid_outputs, keras.Model(image, x))
    elif include_top:
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name="dropout")(x)
        x = keras.layers.Dense(
            classes,
            activation=classifier_activation,
            dtype=at_least_float32(),
            name="predictions",
        )(x)
    elif pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    elif pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(name="max_pool")(x)

    inputs = image
    if input_tensor is not None:
        sources = keras.utils.get_source_inputs(image)
        inputs = sources[0] if len(sources) == 1 else sources
    model = (keras.Model if include_top else Backbone)(inputs, x, name=name or default_name)
    set_normalisation(model, normalisation._asdict())
    if weights is not None:
        # Without what the user's own tensor comes from.
        network = model if input_tensor is None else keras.Model(image, x)
        for change in weights.load(network, model).changes:
            LOGGER.warning("%s: %s", model.name, change)
    return model


@keras.saving.register_keras_serializable(package="keras_attn")
class Backbone(keras.Model):
    """A network without its classifier, as the constructors make it with `include_top=False`.

    It is a functional model like any other, and what KerasHub's detectors and segmenters take as
    `image_encoder`: they ask for `pyramid_outputs`, which is there after loading, too.
    """

    @property
    def pyramid_outputs(self) -> dict[str, keras.KerasTensor]:
        """The last map of each stage: see `keras_attn.applications.pyramid_outputs`."""
        return pyramid_outputs(self)


def level(x: Tensor, exponent: int) -> Tensor:
    """Marks the last map of stride `2**exponent` as level P{exponent} of the feature pyramid.

    The marks are layers of their own, so they are there after loading, too. The first one
    remembers what belongs to the weights.
    """
    return LevelMarker(name=f"P{exponent}")(x)


def pyramid_outputs(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """The last map of each stage of a network of `keras_attn.applications`.

    Args:
        model: A network as constructed, or as loaded from a file.

    Returns:
        Level -> symbolic tensor, from the finest on. As in KerasHub, level `"P{l}"` has stride
        2**l; its channels are those of the tensor.

    Raises:
        ValueError: If the model has no levels.

    Example:

    >>> model = keras_attn.applications.CIFARResNet(20, include_top=False)
    >>> {name: x.shape for name, x in keras_attn.applications.pyramid_outputs(model).items()}
    {'P0': (None, None, None, 16), 'P1': (None, None, None, 32), 'P2': (None, None, None, 64)}
    """
    levels = {x.name: x.output for x in model.layers if isinstance(x, LevelMarker)}
    if not levels:
        raise ValueError(
            f"`model` must be a network of keras_attn.applications. Received: model={model.name!r},"
            " which has no layers P0, P1, ..."
        )
    return dict(sorted(levels.items()))


def _chosen_levels(
    chosen: bool | Sequence[str], model: keras.Model
) -> dict[str, keras.KerasTensor]:
    levels = pyramid_outputs(model)
    if isinstance(chosen, bool):
        return levels
    unknown = [name for name in chosen if name not in levels]
    if isinstance(chosen, str) or unknown:
        raise ValueError(
            f"`pyramid_outputs` must be a boolean or hold some of {', '.join(levels)}. "
            f"Received: pyramid_outputs={chosen!r}"
        )
    return {name: levels[name] for name in levels if name in chosen}


def _check(
    include_top: bool,
    weights: Choice | None,
    pooling: str | None,
    classes: int | None,
    classifier_activation: Activation,
    pyramid_outputs: bool | Sequence[str],
) -> None:
    check_one_of("pooling", pooling, (None, "avg", "max"))
    if pyramid_outputs and include_top:
        raise ValueError(
            "`pyramid_outputs` needs `include_top=False`. Received: include_top=True, "
            f"pyramid_outputs={pyramid_outputs!r}"
        )
    if include_top:
        check_positive_int("classes", classes)
    if include_top and weights is not None:
        activation = keras.activations.get(classifier_activation)
        if activation not in (keras.activations.softmax, keras.activations.linear):
            raise ValueError(
                "Only `None` and `softmax` activations are allowed for the `classifier_activation` "
                "argument when using pretrained weights, with `include_top=True`; Received: "
                f"classifier_activation={classifier_activation}"
            )


def _checked_shape(shape: Shape | None, images: Images, include_top: bool) -> Shape:
    """The input's shape without the batch; dynamic sides where the user wants them."""
    channels_first = keras.config.image_data_format() == "channels_first"
    if shape is None:
        side = images.size if include_top else None
        return (3, side, side) if channels_first else (side, side, 3)
    if len(shape) != 3:
        raise ValueError(
            f"`input_shape` must be a tuple of three integers. Received: input_shape={shape}"
        )
    channels, *sides = shape if channels_first else (shape[2], shape[0], shape[1])
    if channels is None:
        raise ValueError(
            f"`input_shape` must say the number of channels. Received: input_shape={shape}"
        )
    if channels not in {1, 3}:
        warnings.warn(
            "This model usually expects 1 or 3 input channels. However, it was passed an "
            f"input_shape with {channels} input channels.",
            stacklevel=_level_of_caller(),
        )
    least = images.min_size
    if any(side is not None and side < least for side in sides):
        raise ValueError(
            f"Input size must be at least {least}x{least}; Received: input_shape={shape}"
        )
    return tuple(shape)


def _level_of_caller() -> int:
    """The `stacklevel` of a warning of the function that calls this, for the line of the user's.

    Between the two are wrappers and helpers, more for some constructors than for others.
    """
    package = __name__.partition(".")[0]
    level = 0
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    return level + 1


def at_least_float32() -> str | None:
    """The classifier's dtype: float32 under 16-bit policies, so that the softmax is exact."""
    compute = keras.config.dtype_policy().compute_dtype
    return "float32" if compute in ("float16", "bfloat16") else None
