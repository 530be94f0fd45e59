"""The likeliest caption that a decoder can write, by greedy or beam search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._parts import LayerOfParts
from keras_attn.layers.captions.caption_decoder import Beginning, CaptionDecoder
from keras_attn.layers.contract import Form
from keras_attn.typing import Shape, Tensor

IMPOSSIBLE = -1e9
GREEDY = "greedy_"


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
        greedy: Whether greedy search's caption is given beside that of beam search.
        words: What each token stands for, of which an export makes sentences: V strings, as
            `keras.layers.TextVectorization.get_vocabulary` gives them. The first is empty, as token
            0 is the end; the second stands for words that are not known.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        return_attention: Whether to return the attention once more, beside the dict.

    Input shape:
        A map, as the decoder takes it.

    Output shape:
        A dict: `"tokens"`, int32 (B, T), 0 from the caption's end on; `"scores"` (B,), the sum of
        log p; `"attention"` (B, T, h, w), 0 after the end. With `greedy` also `"greedy_tokens"`,
        `"greedy_scores"` and `"greedy_attention"`.

    Raises:
        ValueError: If `decoder` is another layer, a number isn't a positive integer, or `words`
            don't name the decoder's tokens.

    Example:

    >>> search = keras_attn.layers.CaptionSearch(
    ...     keras_attn.layers.CaptionDecoder(100, 16, 32, 32), max_length=5, beam_width=3)
    >>> found = search(np.ones((2, 7, 7, 64), "float32"))
    >>> {name: tuple(x.shape) for name, x in found.items()}
    {'tokens': (2, 5), 'scores': (2,), 'attention': (2, 5, 7, 7)}
    """

    attention_form: Form | None = "steps"

    def __init__(
        self,
        decoder: CaptionDecoder,
        max_length: int = 20,
        beam_width: int = 1,
        *,
        greedy: bool = False,
        words: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if not isinstance(decoder, CaptionDecoder):
            raise ValueError(f"`decoder` must be a CaptionDecoder. Received: decoder={decoder!r}")
        self.decoder = decoder
        self.max_length = check_positive_int("max_length", max_length)
        self.beam_width = check_positive_int("beam_width", beam_width)
        self.greedy = greedy
        self.words = check_words(words, decoder.vocabulary_size)

    def build(self, features_shape: Shape) -> None:
        """Makes the decoder's parts."""
        if not self.decoder.built:
            self.decoder.build(features_shape)

    def call(self, features: Tensor, return_attention: bool = False) -> Any:
        """Searches."""
        begun = self.decoder.begin(features)
        grid = self.compute_output_shape(features.shape)["attention"][2:]
        found = self._likeliest(begun, self.beam_width, grid)
        if self.greedy:
            first = self._likeliest(begun, 1, grid)
            found |= {GREEDY + name: value for name, value in first.items()}
        return (found, found["attention"]) if return_attention else found

    def _likeliest(self, begun: Beginning, width_of_beam: int, grid: Shape) -> dict[str, Tensor]:
        """The caption that a search of some width finds."""
        (height, width), size = grid, self.decoder.vocabulary_size
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
        steps = ops.arange(self.max_length, dtype="int32")

        def step(
            number: Tensor,
            previous: Tensor | None,
            scores: Tensor,
            tokens: Tensor,
            maps: Tensor,
            state: list[Tensor],
        ) -> tuple[Any, ...]:
            """One word more; of an image whose caption has ended, as before."""
            if previous is None:
                ended = ops.zeros((ops.shape(tokens)[0], 1), dtype)
            else:
                ended = ops.cast(ops.equal(previous, 0), dtype)[:, None]
            word = self.decoder.write(beginning, state, previous)
            gains = (1 - ended) * ops.log_softmax(word.logits) + ended * after_end
            totals = scores[:, :, None] + ops.reshape(gains, (-1, width_of_beam, size))
            scores, best = ops.top_k(ops.reshape(totals, (-1, width_of_beam * size)), width_of_beam)
            best = ops.cast(best, "int32")
            parents = best // size
            here = ops.equal(steps, number)[None]  # (1, T)
            new = ops.reshape(best % size, (-1,))
            tokens = ops.where(here, new[:, None], kept(tokens, parents))
            looked = kept((1 - ended) * word.alpha, parents)
            maps = ops.where(here[..., None], looked[:, None], kept(maps, parents))
            return number + 1, new, scores, tokens, maps, [kept(x, parents) for x in word.state]

        def goes_on(number: Tensor, previous: Tensor, *_: Any) -> Tensor:
            return ops.logical_and(number < self.max_length, ops.any(previous > 0))

        tokens = ops.zeros((batch * width_of_beam, self.max_length), "int32")
        maps = ops.zeros(
            (batch * width_of_beam, self.max_length, (height or 0) * (width or 0)), dtype
        )
        first_step = ops.zeros((), "int32")
        first = step(first_step, None, scores, tokens, maps, [each(x) for x in begun.state])
        # As a loop, so that a graph of it doesn't grow with the caption.
        _, _, scores, tokens, maps, _ = ops.while_loop(goes_on, step, first)

        def likeliest(x: Tensor) -> Tensor:
            return ops.reshape(x, (-1, width_of_beam, *x.shape[1:]))[:, 0]

        attention = ops.reshape(likeliest(maps), (-1, self.max_length, height, width))
        return {"tokens": likeliest(tokens), "scores": scores[:, 0], "attention": attention}

    def compute_output_spec(
        self, features: keras.KerasTensor, return_attention: bool = False
    ) -> Any:
        """The symbolic outputs."""
        shapes = self.compute_output_shape(features.shape)
        dtype = self.decoder.attention_dtype
        found = {name: keras.KerasTensor(shape, dtype) for name, shape in shapes.items()}
        for name in found:
            if name.endswith("tokens"):
                found[name] = keras.KerasTensor(shapes[name], "int32")
        return (found, found["attention"]) if return_attention else found

    def compute_output_shape(self, features_shape: Shape) -> dict[str, Shape]:
        """Those of the dict."""
        batch, length = features_shape[0], self.max_length
        shapes = self.decoder.compute_output_shape(features_shape, (batch, length))
        found: dict[str, Shape] = {
            "tokens": (batch, length),
            "scores": (batch,),
            "attention": shapes["attention"],
        }
        more = {GREEDY + name: shape for name, shape in found.items()} if self.greedy else {}
        return found | more

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
            "greedy": self.greedy,
            "words": self.words,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CaptionSearch:
        """The layer of a configuration."""
        decoder = keras.saving.deserialize_keras_object(config["decoder"])
        return cls(**{**config, "decoder": decoder})


def check_words(words: Sequence[str] | None, vocabulary_size: int) -> list[str] | None:
    """The words of a vocabulary as a list; raises a ValueError unless there is one for each token.

    Args:
        greedy: Whether greedy search's caption is given beside that of beam search.
        words: What each token stands for, or `None` where that isn't known.
        vocabulary_size: Number of tokens.
    """
    if words is None:
        return None
    given = [] if isinstance(words, str) else list(words)
    rest = [isinstance(word, str) and word.split() == [word] for word in given[1:]]
    if len(given) != vocabulary_size or given[0] != "" or not all(rest):
        shown = given if len(given) < 8 else [*given[:7], "..."]
        raise ValueError(
            f"`words` must be a string for each of {vocabulary_size} tokens, the first one empty, "
            f"none of the others with a blank in it. Received: {len(given)}, words={shown}"
        )
    return given
