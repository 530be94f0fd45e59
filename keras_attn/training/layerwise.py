"""Learning rates and weight decays of each layer, in Keras's optimizers, on every backend.

Scaling a layer's gradient instead would change nothing with AdamW, and no weight decay.
"""

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from keras_attn.typing import Tensor


class _Layerwise:
    """Gives groups of weights their own rate: what Keras does to all, group by group."""

    weight_decay: float | None

    def __init__(
        self,
        learning_rate: Any = 0.001,
        *,
        learning_rate_factors: Mapping[str, float] | None = None,
        weight_decay_factors: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)  # type: ignore[call-arg]
        self._whole_weight_decay = self.weight_decay
        self.learning_rate_factors = dict(learning_rate_factors or {})
        self.weight_decay_factors = dict(weight_decay_factors or {})

    def _backend_update_step(
        self,
        grads: Sequence[Tensor],
        trainable_variables: Sequence[keras.Variable],
        learning_rate: Tensor,
    ) -> None:
        rates = self.learning_rate_factors
        for factor, chosen in _groups(trainable_variables, lambda path: rates.get(path, 1.0)):
            super()._backend_update_step(  # type: ignore[misc]
                [grads[i] for i in chosen],
                [trainable_variables[i] for i in chosen],
                learning_rate * factor,
            )

    def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
        # Replicas take turns inside of the call below, so that one may find the decay that
        # another has set: the whole one is kept apart.
        whole, rates, decays = (
            self._whole_weight_decay,
            self.learning_rate_factors,
            self.weight_decay_factors,
        )
        if whole is None:
            return

        def factor_of(path: str) -> float:
            return rates.get(path, 1.0) * decays.get(path, 1.0)

        for factor, chosen in _groups(variables, factor_of):
            self.weight_decay = whole * factor
            super()._apply_weight_decay(  # type: ignore[misc]
                [variables[i] for i in chosen]
            )
        self.weight_decay = whole

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),  # type: ignore[misc]
            "learning_rate_factors": self.learning_rate_factors,
            "weight_decay_factors": self.weight_decay_factors,
        }


@keras.saving.register_keras_serializable(package="keras_attn")
class LayerwiseSGD(_Layerwise, keras.optimizers.SGD):
    """`keras.optimizers.SGD` with learning rates and weight decays by weight.

    Args:
        learning_rate: Rate, or schedule of the rate, of weights with no factor.
        learning_rate_factors: Path of a variable -> factor of its rate.
        weight_decay_factors: Path of a variable -> factor of its weight decay; a step shrinks it
            by rate times decay, both with their factors.
        **kwargs: Further arguments of `keras.optimizers.SGD`.

    Example:
        >>> optimizer = LayerwiseSGD(0.1, learning_rate_factors={"stem_conv/kernel": 0.01})
    """


@keras.saving.register_keras_serializable(package="keras_attn")
class LayerwiseAdamW(_Layerwise, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` with learning rates and weight decays by weight.

    Args:
        learning_rate: Rate, or schedule of the rate, of weights with no factor.
        learning_rate_factors: Path of a variable -> factor of its rate.
        weight_decay_factors: Path of a variable -> factor of its weight decay; a step shrinks it
            by rate times decay, both with their factors.
        **kwargs: Further arguments of `keras.optimizers.AdamW`.

    Example:
        >>> optimizer = LayerwiseAdamW(1e-3, weight_decay_factors={"predictions/kernel": 10.0})
    """


def factors_by_weight(
    model: keras.Model, factors: Mapping[str, float], argument: str
) -> dict[str, float]:
    """Patterns of layer names -> factors, by the paths of the model's trainable weights.

    Args:
        model: Built model.
        factors: Pattern, as in `fnmatch`, of the names of layers -> factor, 0 or more. A layer
            takes that of the first pattern that its name fits; without one its factor is 1.
        argument: Name of the argument, for the error.

    Returns:
        Path of a variable -> its factor, where that isn't 1.

    Raises:
        ValueError: If a factor is negative, or a pattern fits no layer with trainable weights.
    """
    unused = set(factors)
    found = {}
    for layer in model.layers:
        pattern = next((p for p in factors if fnmatch.fnmatchcase(layer.name, p)), None)
        if pattern is None or not layer.trainable_variables:
            continue
        unused.discard(pattern)
        for variable in layer.trainable_variables:
            found[variable.path] = float(factors[pattern])
    wrong = {pattern: factor for pattern, factor in factors.items() if not factor >= 0}
    if wrong:
        raise ValueError(f"`{argument}` must be 0 or more for each layer. Received: {wrong}")
    if unused:
        names = [layer.name for layer in model.layers if layer.trainable_variables]
        raise ValueError(
            f"`{argument}` must have patterns that fit layers with trainable weights, such as "
            f"{', '.join(names[:3])} ... {names[-1]}. Received: {', '.join(sorted(unused))}"
            if names
            else f"`{argument}` needs trainable weights. Received: a model without any"
        )
    return {path: factor for path, factor in found.items() if factor != 1}


def _groups(
    variables: Sequence[keras.Variable], factor_of: Callable[[str], float]
) -> Iterator[tuple[float, list[int]]]:
    """The factors, and which variables have them."""
    groups: dict[float, list[int]] = {}
    for i, variable in enumerate(variables):
        groups.setdefault(factor_of(variable.path), []).append(i)
    yield from groups.items()
