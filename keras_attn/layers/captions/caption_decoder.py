"""The decoder of Show, Attend and Tell (ICML 2015): a word, and where it comes from."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_attn._checks import check_int, check_positive_int
from keras_attn.layers._composed import built
from keras_attn.layers._parts import LayerOfParts
from keras_attn.layers.captions.additive_spatial_attention import AdditiveSpatialAttention
from keras_attn.typing import Shape, Tensor


class Beginning(NamedTuple):
    """What a caption starts from.

    Attributes:
        places: (B, L, D), the map's features.
        projected: (B, L, attention_units).
        state: h and c of the LSTM, (B, units) each.
    """

    places: Tensor
    projected: Tensor
    state: list[Tensor]


class Word(NamedTuple):
    """What one step gives.

    Attributes:
        logits: (B, V).
        alpha: (B, L).
        log_density: (B,), of the place that was drawn.
        state: h and c after it, (B, units) each.
    """

    logits: Tensor
    alpha: Tensor
    log_density: Tensor
    state: list[Tensor]


@keras.saving.register_keras_serializable(package="keras_attn")
class CaptionDecoder(LayerOfParts):
    """Writes a caption word by word, and looks at a map anew for each.

    [Xu et al., "Show, Attend and Tell", ICML 2015](https://arxiv.org/abs/1502.03044). With the
    features a_i of the map, the embedding E, and `AdditiveSpatialAttention`,

        c_0 = tanh(Dense(mean a)),  h_0 = tanh(Dense(mean a))
        z_t = attention(a, h_{t-1}),  h_t, c_t = LSTM([E y_{t-1}, z_t], h_{t-1}, c_{t-1})
        p(y_t) = softmax(Dense(tanh(E y_{t-1} + Dense(h_t) + Dense(z_t))))

    E y_0 is zero: there is no token of the start. Token 0 ends a caption and fills what follows, 1
    stands for words that are not known, as `keras.layers.TextVectorization` counts.

    Args:
        vocabulary_size: Number V of tokens, those two included.
        embedding_dim: Width of the embedding.
        units: Width of the LSTM.
        attention_units: Width of the attention's hidden layer. What follows but `dropout` is
            explained at `AdditiveSpatialAttention`.
        activation: Activation of the attention's hidden layer.
        mode: `"soft"`, `"hard"` or `"uniform"`.
        gate: `"scalar"`, `"vector"` or `None`.
        dropout: Rate on h_t before the output, and on the output's hidden layer.
        expectation_rate: Probability with which a hard training step is a soft one.
        temperature: Divides the logits of the softmax over places.
        seed: Seed of the places that are drawn, and of dropout.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        tokens: int (B, T), the caption that is to be written: each word is predicted from those
            before it (teacher forcing). T must be known.
        places: int (B, T), numbers of places at which a hard attention looks instead of its own.
        training: Whether there is dropout and places are drawn, unless `sample` says.
        sample: Whether places are drawn, all of them.

    Input shape:
        A map (B, h, w, D), or (B, D, h, w) if `channels_first`; h and w must be known.

    Output shape:
        A dict: `"logits"` (B, T, V) and `"attention"` (B, T, h, w); with hard attention also
        `"log_densities"` (B, T), of the places that were looked at, and `"baselines"` (B, T), what
        h_{t-1} expects to come, which learns without a gradient to h. All are float32 or wider.

    Raises:
        ValueError: If an argument is wrong, or a size unknown.

    Example:

    >>> layer = keras_attn.layers.CaptionDecoder(1000, 32, 64, 64)
    >>> found = layer(np.ones((2, 7, 7, 512), "float32"), np.ones((2, 9), "int32"))
    >>> {name: tuple(x.shape) for name, x in found.items()}
    {'logits': (2, 9, 1000), 'attention': (2, 9, 7, 7)}
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int = 512,
        units: int = 512,
        attention_units: int = 512,
        activation: Any = "tanh",
        mode: str = "soft",
        gate: str | None = "scalar",
        *,
        dropout: float = 0.5,
        expectation_rate: float = 0.5,
        temperature: float = 1.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        rule = "an integer of at least 3: two tokens and a word"
        self.vocabulary_size = check_int("vocabulary_size", vocabulary_size, rule, least=3)
        self.embedding_dim = check_positive_int("embedding_dim", embedding_dim)
        self.units = check_positive_int("units", units)
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be 0 or more and below 1. Received: {dropout=}")
        self.dropout = dropout
        self.attention = AdditiveSpatialAttention(
            attention_units,
            activation,
            mode,
            gate,
            expectation_rate=expectation_rate,
            temperature=temperature,
            seed=seed,
            data_format=data_format,
            name="attention",
            dtype=self.attention_dtype,
        )
        self.mode = mode
        self.data_format = self.attention.data_format

    def build(self, features_shape: Shape, tokens_shape: Shape | None = None) -> None:
        """Makes the parts."""
        depth, dtype = self._grid_and_depth(features_shape)[2], self.attention_dtype

        def dense(name: str, inputs: int, units: int, **options: Any) -> keras.layers.Dense:
            layer = keras.layers.Dense(units, name=name, dtype=dtype, **options)
            return built(layer, (None, inputs))

        self.attention.build(features_shape, (None, self.units))
        self.embedding = built(
            keras.layers.Embedding(
                self.vocabulary_size, self.embedding_dim, name="embedding", dtype=dtype
            ),
            (None, None),
        )
        self.first_state = dense("first_state", depth, self.units, activation="tanh")
        self.first_memory = dense("first_memory", depth, self.units, activation="tanh")
        self.core = built(
            keras.layers.LSTMCell(self.units, name="core", dtype=dtype),
            (None, self.embedding_dim + depth),
        )
        self.of_state = dense("of_state", self.units, self.embedding_dim)
        self.of_context = dense("of_context", depth, self.embedding_dim, use_bias=False)
        self.head = dense("head", self.embedding_dim, self.vocabulary_size)
        self.drop = keras.layers.Dropout(
            self.dropout, seed=self.attention.seed, name="drop", dtype=dtype
        )
        if self.mode == "hard":
            self.baseline = dense("baseline", self.units, 1)

    def begin(self, features: Tensor) -> Beginning:
        """What a caption of a map starts from."""
        places = self.attention.as_sequence(features)
        mean = ops.mean(places, axis=1)
        state = [self.first_state(mean), self.first_memory(mean)]
        return Beginning(places, self.attention.project(places), state)

    def write(
        self,
        beginning: Beginning,
        state: list[Tensor],
        previous: Tensor | None,
        *,
        training: bool = False,
        **look: Any,
    ) -> Word:
        """One word, after the one before it.

        Args:
            beginning: Of `begin`.
            state: h and c.
            previous: (B,), the token before it; `None` for the first word.
            training: Whether there is dropout.
            **look: Arguments of `AdditiveSpatialAttention.attend`.

        Returns:
            What comes next.
        """
        z, alpha, density = self.attention.attend(
            beginning.places, beginning.projected, state[0], **look
        )
        if previous is None:
            word = ops.zeros((ops.shape(z)[0], self.embedding_dim), self.attention_dtype)
        else:
            word = self.embedding(previous)
        h, state = self.core(ops.concatenate([word, z], axis=-1), state)
        h = self.drop(h, training=training)
        hidden = ops.tanh(word + self.of_state(h) + self.of_context(z))
        logits = self.head(self.drop(hidden, training=training))
        return Word(logits, alpha, density, list(state))

    def call(
        self,
        features: Tensor,
        tokens: Tensor,
        places: Tensor | None = None,
        training: bool | None = None,
        sample: bool | None = None,
    ) -> Any:
        """The caption's logits by teacher forcing, and where each word looked."""
        height, width, _ = self._grid_and_depth(features.shape)
        steps = self._length(tokens.shape)
        draws = bool(training) if sample is None else sample
        expects = self.attention.coin() if self.mode == "hard" and draws and not sample else None
        beginning = self.begin(features)
        state, words, baselines = beginning.state, [], []
        for step in range(steps):
            if self.mode == "hard":
                baselines.append(self.baseline(ops.stop_gradient(state[0])))
            word = self.write(
                beginning,
                state,
                tokens[:, step - 1] if step else None,
                training=bool(training),
                draws=draws,
                expects=expects,
                given=None if places is None else places[:, step],
            )
            state = word.state
            words.append(word)
        alpha = ops.stack([word.alpha for word in words], axis=1)
        found = {
            "logits": ops.stack([word.logits for word in words], axis=1),
            "attention": ops.reshape(alpha, (-1, steps, height, width)),
        }
        if self.mode == "hard":
            found["log_densities"] = ops.stack([word.log_density for word in words], axis=1)
            found["baselines"] = ops.concatenate(baselines, axis=1)
        return found

    def compute_output_spec(
        self,
        features: keras.KerasTensor,
        tokens: keras.KerasTensor,
        places: Any = None,
        training: bool | None = None,
        sample: bool | None = None,
    ) -> Any:
        """The symbolic outputs."""
        shapes = self.compute_output_shape(features.shape, tokens.shape)
        return {
            name: keras.KerasTensor(shape, self.attention_dtype) for name, shape in shapes.items()
        }

    def compute_output_shape(self, features_shape: Shape, tokens_shape: Shape) -> dict[str, Shape]:
        """Those of the dict."""
        height, width, _ = self._grid_and_depth(features_shape)
        batch, steps = features_shape[0], self._length(tokens_shape)
        shapes: dict[str, Shape] = {
            "logits": (batch, steps, self.vocabulary_size),
            "attention": (batch, steps, height, width),
        }
        if self.mode == "hard":
            shapes |= {"log_densities": (batch, steps), "baselines": (batch, steps)}
        return shapes

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        attention = self.attention.get_config()
        shared = "activation mode gate expectation_rate temperature seed data_format"
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "attention_units": attention["units"],
            "dropout": self.dropout,
            **{name: attention[name] for name in shared.split()},
        }

    @property
    def attention_dtype(self) -> str:
        """Of all that is computed: float32, or wider."""
        return str(keras.backend.result_type(self.compute_dtype, "float32"))

    def _grid_and_depth(self, shape: Shape) -> tuple[int, int, int]:
        """(h, w, D) of a map."""
        height, width, depth = tuple(shape[1:]) if len(shape) == 4 else (None, None, None)
        if height is None or width is None or depth is None:
            raise ValueError(
                "`features` must be a map (B, h, w, D) whose h, w and D are known. "
                f"Received: features with shape {tuple(shape)}"
            )
        is_last = self.data_format == "channels_last"
        return (height, width, depth) if is_last else (width, depth, height)

    @staticmethod
    def _length(shape: Shape) -> int:
        if len(shape) != 2 or shape[1] is None:
            raise ValueError(
                f"`tokens` must be (B, T) of a known T. Received: tokens with shape {tuple(shape)}"
            )
        return int(shape[1])
