"""The likeliest caption that a decoder can write, by greedy or beam search."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._parts import LayerOfParts
from keras_attn.layers.captions.caption_decoder import Beginning, CaptionDecoder
from keras_attn.layers.contract import Form
from keras_attn.typing import Shape, Tensor

IMPOSSIBLE = -1e9


@keras.saving.register_keras_serializable(package="keras_attn")
class CaptionSearch(LayerOfParts):
    """Writes the caption of a map, by a decoder's own words.

    At each step the `beam_width` likeliest beginnings are kept, by the sum of log p(y_t), which
    isn't divided by the length, as in [Xu et al., "Show, Attend and Tell", ICML
    2015](https://arxiv.org/abs/1502.03044). One that has ended stays as it is. A width of 1 is
    greedy search. Hard attention looks at its likeliest place.

    Args:
        decoder: `CaptionDecoder`, whose weights this layer uses.
        max_length: Number T of tokens, the end included, after which a caption is cut.
        beam_width: Number of beginnings that are kept.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        return_attention: Whether to return the attention once more, beside the dict.

    Input shape:
        A map, as the decoder takes it.

    Output shape:
        A dict: `"tokens"`, int32 (B, T), 0 from the caption's end on; `"scores"` (B,), the sum of
        log p; `"attention"` (B, T, h, w), 0 after the end.

    Raises:
        ValueError: If `decoder` is another layer, or a number isn't a positive integer.

    Example:

    >>> search = keras_attn.layers.CaptionSearch(
    ...     keras_attn.layers.CaptionDecoder(100, 16, 32, 32), max_length=5, beam_width=3)
    >>> found = search(np.ones((2, 7, 7, 64), "float32"))
    >>> {name: tuple(x.shape) for name, x in found.items()}
    {'tokens': (2, 5), 'scores': (2,), 'attention': (2, 5, 7, 7)}
    """

    attention_form: Form | None = "steps"

    def __init__(
        self, decoder: CaptionDecoder, max_length: int = 20, beam_width: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if not isinstance(decoder, CaptionDecoder):
            raise ValueError(f"`decoder` must be a CaptionDecoder. Received: decoder={decoder!r}")
        self.decoder = decoder
        self.max_length = check_positive_int("max_length", max_length)
        self.beam_width = check_positive_int("beam_width", beam_width)

    def build(self, features_shape: Shape) -> None:
        """Makes the decoder's parts."""
        if not self.decoder.built:
            self.decoder.build(features_shape)

    def call(self, features: Tensor, return_attention: bool = False) -> Any:
        """Searches."""
        height, width = self.compute_output_shape(features.shape)["attention"][2:]
        width_of_beam, size = self.beam_width, self.decoder.vocabulary_size
        begun = self.decoder.begin(features)
        batch = ops.shape(begun.places)[0]

        def each(x: Tensor) -> Tensor:
            """Of each beginning, (B K, ...), what is so for its image, (B, ...)."""
            return ops.repeat(x, width_of_beam, axis=0)

        def kept(x: Tensor, parents: Tensor) -> Tensor:
            """What is so for the beginnings that went on, (B K, ...)."""
            by_image = ops.reshape(x, (-1, width_of_beam, *x.shape[1:]))
            index = ops.reshape(parents, (-1, width_of_beam, *[1] * (len(x.shape) - 1)))
            return ops.reshape(ops.take_along_axis(by_image, index, axis=1), (-1, *x.shape[1:]))

        beginning = Beginning(each(begun.places), each(begun.projected), [])
        state = [each(x) for x in begun.state]
        dtype = begun.places.dtype
        # All beginnings are the same one at first: only the first of them counts.
        scores = ops.concatenate(
            [
                ops.zeros((batch, 1), dtype),
                ops.full((batch, width_of_beam - 1), IMPOSSIBLE, dtype),
            ],
            axis=1,
        )
        is_end = ops.one_hot(0, size, dtype=dtype)
        after_end = (1 - is_end) * IMPOSSIBLE
        ended = ops.zeros((batch * width_of_beam, 1), dtype)
        tokens: list[Tensor] = []
        maps: list[Tensor] = []
        for _ in range(self.max_length):
            word = self.decoder.write(beginning, state, tokens[-1] if tokens else None)
            gains = (1 - ended) * ops.log_softmax(word.logits) + ended * after_end
            totals = scores[:, :, None] + ops.reshape(gains, (-1, width_of_beam, size))
            scores, best = ops.top_k(ops.reshape(totals, (-1, width_of_beam * size)), width_of_beam)
            best = ops.cast(best, "int32")
            parents = best // size
            maps = [kept(x, parents) for x in [*maps, (1 - ended) * word.alpha]]
            tokens = [kept(x, parents) for x in tokens] + [ops.reshape(best % size, (-1,))]
            state = [kept(x, parents) for x in word.state]
            ended = ops.cast(ops.equal(tokens[-1], 0), dtype)[:, None]

        def first(x: Tensor) -> Tensor:
            return ops.reshape(x, (-1, width_of_beam, *x.shape[1:]))[:, 0]

        attention = ops.reshape(
            first(ops.stack(maps, axis=1)), (-1, self.max_length, height, width)
        )
        found = {
            "tokens": first(ops.stack(tokens, axis=1)),
            "scores": scores[:, 0],
            "attention": attention,
        }
        return (found, attention) if return_attention else found

    def compute_output_spec(
        self, features: keras.KerasTensor, return_attention: bool = False
    ) -> Any:
        """The symbolic outputs."""
        shapes = self.compute_output_shape(features.shape)
        dtype = self.decoder.attention_dtype
        found = {name: keras.KerasTensor(shape, dtype) for name, shape in shapes.items()}
        found["tokens"] = keras.KerasTensor(shapes["tokens"], "int32")
        return (found, found["attention"]) if return_attention else found

    def compute_output_shape(self, features_shape: Shape) -> dict[str, Shape]:
        """Those of the dict."""
        batch, length = features_shape[0], self.max_length
        shapes = self.decoder.compute_output_shape(features_shape, (batch, length))
        return {
            "tokens": (batch, length),
            "scores": (batch,),
            "attention": shapes["attention"],
        }

    def compute_attention_shape(self, features_shape: Shape) -> Shape:
        """That of the attention."""
        return self.compute_output_shape(features_shape)["attention"]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "max_length": self.max_length,
            "beam_width": self.beam_width,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CaptionSearch:
        """The layer of a configuration."""
        decoder = keras.saving.deserialize_keras_object(config["decoder"])
        return cls(**{**config, "decoder": decoder})
