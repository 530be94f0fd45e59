"""The model of captions, its loss, and what it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.layers import CaptionDecoder, CaptionSearch
from keras_attn.layers.captions.caption_search import check_words
from keras_attn.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class Captioner(keras.Model):
    """A functional model with a `CaptionDecoder`, and the loss that trains it.

    Its input is a dict of `"image"` and `"tokens"`, its output the decoder's dict; `fit` takes the
    tokens as targets as well. With a_ti the attention, log p_t = log p(y_t | y_<t) and everything
    summed up to a caption's end, the loss is the mean over the images of

        -sum_t log p_t + doubly_stochastic * sum_i (1 - sum_t a_ti)^2

    and with hard attention, whose G_t = sum_{u >= t} log p_u is what is still to come,

        + mean_t (b_t - G_t)^2 - sum_t log p(s_t) (G_t - b_t) - entropy * sum_t H(a_t)

    with no gradient through G_t - b_t in the last but one term: REINFORCE with a learned baseline.
    The authors' code takes a moving mean for the baseline. Metrics are of the words up to the end.

    The doubly stochastic term asks that the caption looks at each place once in sum. Where there
    are fewer words than places it flattens the attention.

    Args:
        *args: Inputs and outputs, as `keras.Model` takes them.
        doubly_stochastic: Weight of that term.
        entropy: Weight of the attention's entropy, of hard attention alone.
        words: See `CaptionSearch`.
        **kwargs: Arguments of `keras.Model`.
    """

    def __init__(
        self,
        *args: Any,
        doubly_stochastic: float = 1.0,
        entropy: float = 0.02,
        words: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        for name, weight in (("doubly_stochastic", doubly_stochastic), ("entropy", entropy)):
            if not weight >= 0:
                raise ValueError(f"`{name}` must be 0 or more. Received: {name}={weight!r}")
        self.doubly_stochastic = doubly_stochastic
        self.entropy = entropy
        self.words = check_words(words, self.decoder.vocabulary_size)
        # Not as an attribute that Keras tracks: else the writers' weights were saved as well.
        object.__setattr__(self, "_writers", {})

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        weights = {"doubly_stochastic": self.doubly_stochastic, "entropy": self.entropy}
        return {**super().get_config(), **weights, "words": self.words}

    @property
    def decoder(self) -> CaptionDecoder:
        """What writes the words."""
        return next(layer for layer in self.layers if isinstance(layer, CaptionDecoder))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The loss of a batch; raises a ValueError where `y` isn't the tokens."""
        logits, attention = y_pred["logits"], y_pred["attention"]
        if len(y.shape) != 2 or y.shape[1] != logits.shape[1]:
            raise ValueError(
                f"`y` must be the captions' tokens, (B, {logits.shape[1]}). "
                f"Received: y with shape {tuple(y.shape)}"
            )
        counts = until_the_end(y, logits.dtype)
        log_p = -counts * keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
        loss = -ops.sum(log_p, axis=-1)
        looked_at = ops.sum(attention * counts[:, :, None, None], axis=1)
        loss = loss + self.doubly_stochastic * ops.sum(ops.square(1 - looked_at), axis=(1, 2))
        if "log_densities" in y_pred:
            to_come = ops.stop_gradient(ops.flip(ops.cumsum(ops.flip(log_p, 1), 1), 1))
            off = to_come - y_pred["baselines"]
            loss = loss + ops.mean(counts * ops.square(off), axis=-1)
            advantage = ops.stop_gradient(off)
            loss = loss - ops.sum(counts * y_pred["log_densities"] * advantage, axis=-1)
            entropy = -ops.sum(attention * ops.log(attention + 1e-8), axis=(2, 3))
            loss = loss - self.entropy * ops.sum(counts * entropy, axis=-1)
        if sample_weight is not None:
            loss = loss * ops.cast(sample_weight, loss.dtype)
        return sum(self.losses, ops.mean(loss))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Those of the words, up to a caption's end."""
        logits = y_pred["logits"]
        counts = until_the_end(y, logits.dtype)
        if sample_weight is not None:
            counts = counts * ops.cast(sample_weight, counts.dtype)[:, None]
        return super().compute_metrics(x, y, logits, counts)

    def writer(
        self, max_length: int | None = None, beam_width: int = 1, *, greedy: bool = False
    ) -> keras.Model:
        """The network that writes captions, of these weights: it can be saved and exported.

        It is made once for the same arguments.

        Args:
            max_length: See `CaptionSearch`, as for `beam_width`; by default the number of tokens
                that the model is trained with.
            beam_width: 1 for greedy search.
            greedy: Whether it gives what greedy search finds beside what beam search does.

        Returns:
            A functional model from images to the dict of `CaptionSearch`; with `greedy` once more
            as `greedy_tokens`, `greedy_scores` and `greedy_attention`.
        """
        length = int(self.input["tokens"].shape[1]) if max_length is None else max_length
        made: dict[Any, keras.Model] = self._writers
        if (length, beam_width, greedy) not in made:
            features, _ = self.decoder.input
            search = CaptionSearch(
                self.decoder, length, beam_width, greedy=greedy, words=self.words, name="search"
            )
            image = self.input["image"]
            network = keras.Model(image, search(features), name=f"{self.name}_writer")
            made[length, beam_width, greedy] = network
        return made[length, beam_width, greedy]

    def generate(
        self, images: Any, max_length: int = 20, beam_width: int = 1, batch_size: int = 32
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Writes captions.

        Args:
            images: (B, H, W, C), as the backbone takes them.
            max_length: See `CaptionSearch`, as for `beam_width`.
            beam_width: 1 for greedy search.
            batch_size: How many images at once.

        Returns:
            `"tokens"` (B, T), `"scores"` (B,) and `"attention"` (B, T, h, w); and `"captions"`
            (B,), sentences, where the model has its `words`.
        """
        writer = self.writer(max_length, beam_width)
        found: dict[str, np.ndarray[Any, Any]] = writer.predict(images, batch_size, verbose=0)
        if self.words is not None:
            said = np.array(self.words, object)[found["tokens"].astype(int)]
            found["captions"] = np.array([" ".join(filter(None, words)) for words in said])
        return found


def until_the_end(tokens: Any, dtype: str) -> Tensor:
    """1 for each token up to the first 0, that included, and 0 after it: (B, T)."""
    is_end = ops.cast(ops.equal(tokens, 0), "int32")
    before = ops.cumsum(is_end, axis=1) - is_end
    return ops.cast(ops.equal(before, 0), dtype)
