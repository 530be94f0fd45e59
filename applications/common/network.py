"""What makes a function a constructor of `keras_attn.applications`: `network`, and `Common`.

No annotation here is a text, so that signatures show the types and not their names.
"""

import functools
import inspect
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, TypeVar

import keras

from keras_attn.applications.common.construction import Images, construct
from keras_attn.typing import Shape, Tensor

ConstructorT = TypeVar("ConstructorT", bound=Callable[..., keras.Model])

# Name -> constructor, and the images that it was made for.
CONSTRUCTORS: dict[str, tuple[Callable[..., keras.Model], Images]] = {}

# Arguments that had another name before 1.0. To go one release later.
RENAMED = {
    "attention_stages": "it is `stages` now",
    "mask": "it is `geometry` now",
    "attention": "it is `mask_activation` now, and `masks=False` in place of `attention=None`",
}


class Common(TypedDict, total=False):
    """What every constructor takes.

    Attributes:
        include_top: Whether the network ends in its classifier.
        include_preprocessing: Whether the network takes pixels in 0..255 and normalises them.
        weights: `None` (random initialization), the path to a weights file, or a set's tag,
            `"imagenet"` or `"cifar10"` where there is one: see `keras-attn models --weights`.
        input_tensor: Optional Keras tensor to use as the image.
        input_shape: Optional shape without the batch. Sides may be `None`, and are at least 32, or
            8 in the networks for CIFAR. Tables of relative positions are made for it, and for the
            default size where a side is `None`.
        pooling: `None`, `"avg"` or `"max"`, what follows the last map without a top.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` returns the logits.
        pyramid_outputs: Whether the network returns the last map of each stage instead, as a dict
            of the levels P2 to P5 (stride 4 to 32), or P0 to P2 (stride 1 to 4) in the networks
            for CIFAR; or the levels that it returns.
        name: Name of the model.
    """

    include_top: bool
    include_preprocessing: bool
    weights: str | os.PathLike[str] | None
    input_tensor: Tensor
    input_shape: Shape | None
    pooling: Literal["avg", "max"] | None
    classes: int
    classifier_activation: str | Callable[..., Any] | None
    pyramid_outputs: bool | Sequence[str]
    name: str | None


def network(
    images: Images, like: Callable[..., keras.Model] | None = None
) -> Callable[[ConstructorT], ConstructorT]:
    """Makes a function a constructor.

    It gets a `Choice` in place of its `weights`. What these were trained with, such as the
    geometry, is given to it where its caller gave nothing, and refused where the caller gave
    something else. Its signature and its docstring list the arguments of `Common`.

    Args:
        images: The images that the network was made for.
        like: A constructor of the same arguments, whose docstring says what they are.

    Returns:
        A decorator.
    """

    def decorate(function: ConstructorT) -> ConstructorT:
        signature = _whole_signature(function, images)
        defaults = {
            name: parameter.default
            for name, parameter in signature.parameters.items()
            if parameter.default is not parameter.empty
        }

        @functools.wraps(function)
        def constructor(*args: Any, **kwargs: Any) -> keras.Model:
            for key in kwargs:
                if key not in signature.parameters:
                    raise TypeError(_unknown(function.__name__, key, kwargs[key]))
            weights = kwargs.get("weights")
            if weights is None:
                return function(*args, **kwargs)
            from keras_attn.weights import Choice, choose  # what they need waits until here

            if isinstance(weights, Choice):
                return function(*args, **kwargs)
            given = signature.bind_partial(*args, **kwargs).arguments
            choice = choose(weights, function.__name__, given, defaults)
            chosen = {key: value for key, value in choice.arguments.items() if key not in given}
            return function(*args, **{**kwargs, **chosen, "weights": choice})

        constructor.__signature__ = signature  # type: ignore[attr-defined]
        constructor.__doc__ = _whole_docstring(function.__doc__, like)
        CONSTRUCTORS[function.__name__] = (constructor, images)
        return constructor  # type: ignore[return-value]

    return decorate


def _whole_signature(function: Callable[..., Any], images: Images) -> inspect.Signature:
    """The function's own arguments, and in place of `**common` what that stands for."""
    own = inspect.signature(function)
    parameters = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    for name, parameter in _common_parameters().items():
        is_classes = name == "classes"
        parameters.append(parameter.replace(default=images.classes) if is_classes else parameter)
    return own.replace(parameters=parameters)


@functools.cache
def _common_parameters() -> dict[str, inspect.Parameter]:
    """The arguments of `Common`, with the defaults that `construct` has."""
    defaults = inspect.signature(construct).parameters
    return {
        name: inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name].default, annotation=kind
        )
        for name, kind in Common.__annotations__.items()
    }


_SECTION = re.compile(r"\n\n(?=(?:Args|Returns|Raises|Example):\n)")
_COMMON = re.compile(r"\n    \*\*common: .*")


def _whole_docstring(text: str | None, like: Callable[..., Any] | None) -> str | None:
    """The docstring with the Args of `Common`, and the sections that only `like` has.

    Without indentation, as Python 3.13 has docstrings and `inspect.getdoc` gives them.
    """
    if text is None or Common.__doc__ is None:  # python -OO
        return text
    summary, *own = _SECTION.split(inspect.cleandoc(text))
    sections = {section.partition(":")[0]: section for section in own}
    for section in _SECTION.split(like.__doc__ or "")[1:] if like else []:
        sections.setdefault(section.partition(":")[0], section)
    common = _common_arguments(Common.__doc__)
    sections["Args"] = _COMMON.sub(lambda _: common, sections["Args"])
    order = (name for name in ("Args", "Returns", "Raises", "Example") if name in sections)
    return "\n\n".join([summary, *(sections[name] for name in order)]) + "\n"


@functools.cache
def _common_arguments(text: str) -> str:
    return inspect.cleandoc(text).partition("Attributes:")[2]


def _unknown(constructor: str, key: str, value: object) -> str:
    if key in RENAMED:
        return f"`{key}` is no argument of {constructor}: {RENAMED[key]}. Received: {key}={value!r}"
    return f"{constructor}() got an unexpected keyword argument {key!r}"
