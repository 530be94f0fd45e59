"""What every constructor does alike: check its arguments, make the input and the head, load.

The order of the checks, and their messages, are those of keras.applications, but for what
`CONTRIBUTING.md` lists under "Where we depart from keras.applications".
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import keras

from keras_attn.applications.common.preprocessing import Normalisation
from keras_attn.applications.common.pretrained import load_chosen, takes_weights
from keras_attn.weights import Choice, LevelMarker, set_normalisation

VariantT = TypeVar("VariantT")
P = ParamSpec("P")


@dataclass(frozen=True)
class Arguments:
    """The arguments that every constructor takes, as the user gave them.

    Only of `weights` there is a `Choice`, or `None`: see `takes_weights`.
    """

    include_top: bool
    include_preprocessing: bool
    weights: Any
    input_tensor: Any
    input_shape: tuple[int | None, ...] | None
    pooling: str | None
    classes: int
    classifier_activation: Any
    pyramid_outputs: bool | Sequence[str]
    name: str


def construct(
    arguments: Arguments,
    features: Callable[[Any], Any],
    *,
    default_size: int,
    min_size: int,
    normalisation: Normalisation,
    dropout: float = 0.0,
) -> keras.Model:
    """Makes a network: input, preprocessing, `features`, head; then loads its weights.

    Args:
        arguments: What the user gave.
        features: The network's body, from the image (B, H, W, C) to its last feature map.
        default_size: Side of the input where none is given.
        min_size: Least side of the input.
        normalisation: What `include_preprocessing` does to pixels in 0..255, where the weights
            don't say.
        dropout: Rate before the classifier.

    Returns:
        A functional model.

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.
    """
    _check(arguments)
    choice: Choice | None = arguments.weights
    if choice is not None and choice.metadata is not None:
        normalisation = Normalisation.of(choice.metadata)
    shape = _input_shape(arguments, default_size, min_size)
    if arguments.input_tensor is None:
        image = keras.layers.Input(shape=shape)
    elif not keras.backend.is_keras_tensor(arguments.input_tensor):
        image = keras.layers.Input(tensor=arguments.input_tensor, shape=shape)
    else:
        image = arguments.input_tensor

    x = normalisation.apply(image) if arguments.include_preprocessing else image
    x = features(x)
    if arguments.pyramid_outputs:
        x = _chosen_levels(arguments.pyramid_outputs, keras.Model(image, x))
    elif arguments.include_top:
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name="dropout")(x)
        x = keras.layers.Dense(
            arguments.classes,
            activation=arguments.classifier_activation,
            dtype=_at_least_float32(),
            name="predictions",
        )(x)
    elif arguments.pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    elif arguments.pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(name="max_pool")(x)

    inputs = image
    if arguments.input_tensor is not None:
        sources = keras.utils.get_source_inputs(image)
        inputs = sources[0] if len(sources) == 1 else sources
    model = keras.Model(inputs, x, name=arguments.name)
    set_normalisation(model, dataclasses.asdict(normalisation))
    if choice is not None:
        # Without what the user's own tensor comes from.
        network = model if arguments.input_tensor is None else keras.Model(image, x)
        load_chosen(choice, network, model)
    return model


def check_attention(attention: object, choices: tuple[str | None, ...]) -> None:
    """Raises if `attention` isn't one of a network's `choices`."""
    if attention not in choices:
        raise ValueError(
            f"`attention` must be one of {', '.join(map(repr, choices))}. "
            f"Received: attention={attention!r}"
        )


def level(x: Any, exponent: int) -> Any:
    """Marks the last map of stride `2**exponent` as level P{exponent} of the feature pyramid.

    The marks are identities by the name of the level, so they are there after loading, too. The
    first one remembers what belongs to the weights.
    """
    return LevelMarker(name=f"P{exponent}")(x)


def pyramid_outputs(model: keras.Model) -> dict[str, Any]:
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
    names = [layer.name for layer in model.layers if _is_level(layer.name)]
    if not names:
        raise ValueError(
            f"`model` must be a network of keras_attn.applications. Received: model={model.name!r},"
            " which has no layers P0, P1, ..."
        )
    return {name: model.get_layer(name).output for name in sorted(names)}


def constructor(
    name: str,
    build: Callable[Concatenate[VariantT, P], keras.Model],
    variant: VariantT,
    doc: str,
    defaults: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Callable[P, keras.Model]:
    """Makes a public constructor: `build` for one variant, with a name and a docstring.

    Args:
        name: Name of the constructor.
        build: Function of a variant and of keyword arguments.
        variant: The variant.
        doc: The docstring.
        defaults: Keyword arguments of `build` whose default is another one here.
        options: Further keyword arguments, with their defaults, where `build` takes any.

    Returns:
        A function of the keyword arguments of `build`.
    """
    changed = defaults or {}

    def construct_variant(*args: P.args, **kwargs: P.kwargs) -> keras.Model:
        unknown = [key for key in kwargs if key not in names]
        if unknown:
            raise TypeError(f"{name}() got an unexpected keyword argument {unknown[0]!r}")
        return build(variant, *args, **{**changed, **kwargs})

    signature = inspect.signature(build)
    parameters = [
        parameter.replace(default=changed.get(parameter.name, parameter.default))
        for parameter in list(signature.parameters.values())[1:]
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    parameters += [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default)
        for key, default in (options or {}).items()
    ]
    names = {parameter.name for parameter in parameters}
    construct_variant.__name__ = construct_variant.__qualname__ = name
    construct_variant.__module__ = build.__module__
    construct_variant.__doc__ = doc
    construct_variant.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters
    )
    return takes_weights(construct_variant)


def _is_level(name: str) -> bool:
    return name.startswith("P") and name[1:].isdigit()


def _chosen_levels(chosen: bool | Sequence[str], model: keras.Model) -> dict[str, Any]:
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


def _check(arguments: Arguments) -> None:
    if arguments.pooling not in (None, "avg", "max"):
        raise ValueError(
            f"`pooling` must be one of None, 'avg', 'max'. Received: pooling={arguments.pooling!r}"
        )
    if arguments.pyramid_outputs and arguments.include_top:
        raise ValueError(
            "`pyramid_outputs` needs `include_top=False`. Received: include_top=True, "
            f"pyramid_outputs={arguments.pyramid_outputs!r}"
        )
    if arguments.include_top and (
        isinstance(arguments.classes, bool)
        or not isinstance(arguments.classes, int)
        or arguments.classes < 1
    ):
        raise ValueError(
            f"`classes` must be a positive integer. Received: classes={arguments.classes!r}"
        )
    if arguments.include_top and arguments.weights is not None:
        activation = keras.activations.get(arguments.classifier_activation)
        if activation not in (keras.activations.softmax, keras.activations.linear):
            raise ValueError(
                "Only `None` and `softmax` activations are allowed for the `classifier_activation` "
                "argument when using pretrained weights, with `include_top=True`; Received: "
                f"classifier_activation={arguments.classifier_activation}"
            )


def _input_shape(arguments: Arguments, default_size: int, min_size: int) -> tuple[int | None, ...]:
    """The input's shape without the batch, checked; dynamic sides where the user wants them."""
    channels_first = keras.config.image_data_format() == "channels_first"
    shape = arguments.input_shape
    if shape is None:
        side = default_size if arguments.include_top else None
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
    if any(side is not None and side < min_size for side in sides):
        raise ValueError(
            f"Input size must be at least {min_size}x{min_size}; Received: input_shape={shape}"
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


def _at_least_float32() -> str | None:
    """The classifier's dtype: float32 under 16-bit policies, so that the softmax is exact."""
    compute = keras.config.dtype_policy().compute_dtype
    return "float32" if compute in ("float16", "bfloat16") else None
