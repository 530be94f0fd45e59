"""The attention of Show, Attend and Tell (ICML 2015): where a state looks, all over or at once."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_non_negative_int, check_one_of, check_positive_int
from keras_attn.layers._composed import built
from keras_attn.layers._parts import LayerOfParts
from keras_attn.layers._validation import check_data_format
from keras_attn.typing import Shape, Tensor

MODES = ("soft", "hard", "uniform")
GATES = ("scalar", "vector", None)


@keras.saving.register_keras_serializable(package="keras_attn")
class AdditiveSpatialAttention(LayerOfParts):
    """Looks at a map's places as a state asks for: softly at all of them, or hard at one.

    [Xu et al., "Show, Attend and Tell", ICML 2015](https://arxiv.org/abs/1502.03044). With the
    features a_i of the map's L places and a state h,

        e_i = v . activation(W_a a_i + W_h h + b) + c,  alpha = softmax(e / temperature)
        soft:  z = beta * sum_i alpha_i a_i,  beta = sigmoid(w h + b)
        hard:  z = beta * a_s,  s ~ Categorical(alpha)

    In training the place s is drawn; otherwise it is the likeliest. A place that is drawn has no
    gradient: `attend` gives the logarithm of its probability, by which REINFORCE teaches it. Drawn
    alone it hardly learns: as in the authors' code, a part of the training steps
    (`expectation_rate`) computes the soft sum in its place.

    Args:
        units: Width of the hidden layer that compares features with the state.
        activation: Activation of the hidden layer.
        mode: `"soft"`; `"hard"`; or, to compare with, `"uniform"`, where alpha weighs all alike.
        gate: What beta is: `"scalar"`, one for all features, as the paper has it; `"vector"`, one
            for each; `None` for none.
        expectation_rate: Probability with which a hard training step is a soft one.
        temperature: Divides e; the smaller it is, the harder looks a soft attention.
        seed: Seed of the places that are drawn.
        data_format: Where a map has its channels: `"channels_last"` or `"channels_first"`; `None`
            takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        state: (B, n).
        training: Whether places are drawn, unless `sample` says.
        sample: Whether places are drawn, all of them.
        return_attention: Whether to return alpha as well.

    Input shape:
        A map (B, h, w, D), or (B, D, h, w) if `channels_first`; or a sequence (B, L, D).

    Output shape:
        z, (B, D), float32 or wider; alpha, of a map (B, h, w), of a sequence (B, L).

    Raises:
        ValueError: If a name is unknown or a number outside its range, or the features are neither
            a map nor a sequence.

    Example:

    >>> layer = keras_attn.layers.AdditiveSpatialAttention(64)
    >>> features, state = np.ones((2, 14, 14, 512), "float32"), np.ones((2, 128), "float32")
    >>> z, alpha = layer(features, state, return_attention=True)
    >>> z.shape, alpha.shape
    (TensorShape([2, 512]), TensorShape([2, 14, 14]))
    """

    def __init__(
        self,
        units: int = 512,
        activation: Any = "tanh",
        mode: str = "soft",
        gate: str | None = "scalar",
        *,
        expectation_rate: float = 0.5,
        temperature: float = 1.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        check_one_of("mode", mode, MODES)
        check_one_of("gate", gate, GATES)
        if not 0 <= expectation_rate <= 1:
            raise ValueError(
                "`expectation_rate` must be from 0 to 1. "
                f"Received: expectation_rate={expectation_rate!r}"
            )
        if not temperature > 0:
            raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
        self.units = check_positive_int("units", units)
        self.activation = keras.activations.get(activation)
        self.mode = mode
        self.gate = gate
        self.expectation_rate = expectation_rate
        self.temperature = temperature
        self.seed = None if seed is None else check_non_negative_int("seed", seed)
        self.data_format = check_data_format(data_format)
        self.generator = keras.random.SeedGenerator(self.seed, name="generator")

    def build(self, features_shape: Shape, state_shape: Shape) -> None:
        """Makes the dense layers."""
        depth = self._sequence_shape(features_shape)[2]
        width = int(state_shape[-1] or 0)

        def dense(name: str, inputs: int, units: int, **options: Any) -> keras.layers.Dense:
            layer = keras.layers.Dense(units, name=name, dtype=self.attention_dtype, **options)
            return built(layer, (None, inputs))

        self.of_features = dense("of_features", depth, self.units)
        self.of_state = dense("of_state", width, self.units, use_bias=False)
        self.energy = dense("energy", self.units, 1)
        if self.gate is not None:
            gates = 1 if self.gate == "scalar" else depth
            self.beta = dense("beta", width, gates, activation="sigmoid")

    def call(
        self,
        features: Tensor,
        state: Tensor,
        training: bool | None = None,
        sample: bool | None = None,
        return_attention: bool = False,
    ) -> Any:
        """Looks once."""
        places = self.as_sequence(features)
        hard = bool(training) if sample is None else sample
        z, alpha, _ = self.attend(
            places,
            self.project(places),
            state,
            draws=hard,
            expects=self.coin() if hard and not sample else None,
        )
        if not return_attention:
            return z
        return z, ops.reshape(alpha, (-1, *self._grid(ops.shape(features))))

    def attend(
        self,
        places: Tensor,
        projected: Tensor,
        state: Tensor,
        *,
        draws: bool = False,
        expects: Tensor | None = None,
        given: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One look at a sequence of places, whose projection is computed once for all looks.

        Args:
            places: (B, L, D), of `as_sequence`.
            projected: (B, L, units), of `project`.
            state: (B, n).
            draws: Whether a hard attention draws the place.
            expects: 1 where a hard attention is to compute the soft sum, 0 where it isn't, ().
            given: (B,), numbers of places at which a hard attention looks instead of its own.

        Returns:
            z (B, D); alpha (B, L); and the logarithm of the probability of the place that was
            looked at, (B,): 0 where none was chosen.
        """
        hidden = self.activation(projected + self.of_state(state)[:, None])
        energy = self.energy(hidden)[..., 0] / self.temperature
        if self.mode == "uniform":
            energy = ops.zeros_like(energy)
        alpha = ops.softmax(energy)
        weights, density = alpha, ops.zeros_like(alpha[:, 0])
        if self.mode == "hard":
            if given is not None:
                place = ops.cast(given, "int32")
            elif draws:
                drawn = keras.random.categorical(energy, 1, seed=self.generator)
                place = ops.cast(drawn[:, 0], "int32")
            else:
                place = ops.argmax(energy, axis=-1)
            weights = ops.one_hot(place, ops.shape(energy)[-1], dtype=self.attention_dtype)
            density = ops.sum(weights * ops.log_softmax(energy), axis=-1)
            if expects is not None:
                weights = expects * alpha + (1 - expects) * weights
                density = (1 - expects) * density
        z = ops.einsum("bl,bld->bd", weights, places)
        return (z if self.gate is None else z * self.beta(state)), alpha, density

    def project(self, places: Tensor) -> Tensor:
        """W_a a + b of each place, (B, L, units)."""
        return self.of_features(places)

    def coin(self) -> Tensor:
        """1 with the probability of `expectation_rate`, otherwise 0: (), for one training step."""
        drawn = keras.random.uniform((), dtype=self.attention_dtype, seed=self.generator)
        return ops.cast(drawn < self.expectation_rate, self.attention_dtype)

    def as_sequence(self, features: Tensor) -> Tensor:
        """The features as (B, L, D), float32 or wider."""
        shape = self._sequence_shape(features.shape)
        features = ops.cast(features, self.attention_dtype)
        if len(features.shape) == 4 and self.data_format == "channels_first":
            features = ops.transpose(features, (0, 2, 3, 1))
        return ops.reshape(features, (-1, -1 if shape[1] is None else shape[1], shape[2]))

    def compute_output_spec(
        self,
        features: keras.KerasTensor,
        state: keras.KerasTensor,
        training: bool | None = None,
        sample: bool | None = None,
        return_attention: bool = False,
    ) -> Any:
        """The symbolic outputs."""
        z = keras.KerasTensor(self.compute_output_shape(features.shape), self.attention_dtype)
        if not return_attention:
            return z
        shape = (features.shape[0], *self._grid(features.shape))
        return z, keras.KerasTensor(shape, self.attention_dtype)

    def compute_output_shape(
        self, features_shape: Shape, state_shape: Shape | None = None
    ) -> Shape:
        """(B, D)."""
        return (features_shape[0], self._sequence_shape(features_shape)[2])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "mode": self.mode,
            "gate": self.gate,
            "expectation_rate": self.expectation_rate,
            "temperature": self.temperature,
            "seed": self.seed,
            "data_format": self.data_format,
        }

    @property
    def attention_dtype(self) -> str:
        """Of all that is computed: float32, or wider."""
        return str(keras.backend.result_type(self.compute_dtype, "float32"))

    def _sequence_shape(self, shape: Shape) -> tuple[Any, int | None, int]:
        """(B, L, D); raises a ValueError where the features have no such shape."""
        is_first = len(shape) == 4 and self.data_format == "channels_first"
        depth = shape[1 if is_first else -1]
        if len(shape) not in (3, 4) or depth is None:
            raise ValueError(
                "`features` must be a map (B, h, w, D) or a sequence (B, L, D) of a known D. "
                f"Received: features with shape {tuple(shape)}"
            )
        grid = self._grid(shape)
        length = None if None in grid else math.prod(grid)
        return shape[0], length, depth

    def _grid(self, shape: Any) -> tuple[Any, ...]:
        """(h, w) of a map, (L,) of a sequence."""
        is_first = len(shape) == 4 and self.data_format == "channels_first"
        return tuple(shape[2:4] if is_first else shape[1:-1])
