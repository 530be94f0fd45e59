"""How a constructor takes `weights`: they are found first, and say how the network is made."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import ParamSpec

import keras

from keras_attn.weights import Choice, choose

P = ParamSpec("P")
LOGGER = logging.getLogger("keras_attn")


def takes_weights(construct: Callable[P, keras.Model]) -> Callable[P, keras.Model]:
    """Lets a constructor take weights by path, tag, `"imagenet"` and `"cifar10"`.

    What the weights were trained with, such as the geometry, is given to the constructor where
    its caller gave nothing, and refused where the caller gave something else.

    Args:
        construct: A constructor. It gets a `Choice` for its `weights`, or `None`.

    Returns:
        The constructor.
    """
    signature = inspect.signature(construct)
    defaults = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.default is not parameter.empty
    }

    @functools.wraps(construct)
    def construct_with_weights(*args: P.args, **kwargs: P.kwargs) -> keras.Model:
        weights = kwargs.get("weights")
        if weights is None or isinstance(weights, Choice):
            return construct(*args, **kwargs)
        given = signature.bind_partial(*args, **kwargs).arguments
        choice = choose(weights, construct.__name__, given, defaults)
        chosen = {key: value for key, value in choice.arguments.items() if key not in given}
        return construct(*args, **{**kwargs, **chosen, "weights": choice})

    return construct_with_weights


def load_chosen(choice: Choice, network: keras.Model, model: keras.Model) -> None:
    """Loads the weights, and logs what was changed to make them fit.

    Args:
        choice: What `weights` means.
        network: The network, from its image on.
        model: What remembers what belongs to the weights.
    """
    report = choice.load(network, model)
    for change in report.changes:
        LOGGER.warning("%s: %s", model.name, change)
