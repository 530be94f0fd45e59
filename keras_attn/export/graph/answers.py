"""What `serve_bytes` answers, by what the network gives.

| network gives | answer |
|---|---|
| scores of classes (B, K) | `labels` and `scores`, (B, k), the best first |
| scores of pixels (B, H, W, K) | `mask_bytes` (B,), a PNG of the pixels' classes |
| boxes (B, N, 4), with scores of classes (B, N, K) | `boxes` (B, M, 4): left, top, width, height in pixels of the picture that was sent, set upright; `scores` (B, M), the best first; `classes` (B, M), int32, -1 where there is none, and `labels` (B, M), empty there; see `BoxDecoder` |
| tokens of a caption (B, T) | `captions` (B,), sentences; `words` (B, T), empty after the end; `tokens` (B, T), int32; `scores` (B,), the sum of log p. With greedy search beside beam search these once more, as `greedy_captions` and so on |
"""  # noqa: E501

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import keras
import tensorflow as tf

from keras_attn.applications.inputs import box_decoder
from keras_attn.export.graph.endpoint import MAINS, TOKENS, class_output, writes_captions
from keras_attn.images.graph.pixels import boxes_in_files
from keras_attn.layers import BoxDecoder

MASK = "mask_bytes"  # TF Serving's REST interface writes base64 of what is named so
SCORES = "scores"

Outputs = dict[str, tf.Tensor]
T = TypeVar("T")


def answer_of(
    model: keras.Model, names: Sequence[str] | None, top_k: int
) -> Callable[..., Outputs]:
    """Makes the function from a network's outputs, and of `Boxes` the places, to an answer.

    Args:
        model: A network that `check_image_model` accepts, whose outputs have such a meaning.
        names: The names of the classes, or the words of captions; their numbers where there are
            none.
        top_k: How many labels there are.
    """
    if writes_captions(model):
        return _Captions(names)
    if (decoder := box_decoder(model)) is not None:
        return Boxes(decoder, class_output(model).shape[-1], names)
    classes = class_output(model).shape
    return _TopClasses(classes[-1], names, top_k) if len(classes) == 2 else _Masks()


class _TopClasses:
    """Scores (B, classes) -> `labels` and `scores`, (B, k)."""

    def __init__(self, classes: int, names: Sequence[str] | None, top_k: int) -> None:
        self.names = list(names) if names is not None else [str(i) for i in range(classes)]
        self.k = min(top_k, classes)

    def __call__(self, outputs: Outputs) -> Outputs:
        scores, classes = tf.math.top_k(main_output(outputs), self.k)
        return {"labels": tf.gather(tf.constant(self.names), classes), SCORES: scores}


class _Masks:
    """Scores (B, H, W, K) -> `mask_bytes`, a PNG of each image: grey, the class of each pixel.

    It has the size that the network gives, not the file's. Of a single score a pixel is 1 where it
    is above a half.
    """

    def __call__(self, outputs: Outputs) -> Outputs:
        scores = main_output(outputs)
        if scores.shape[-1] == 1:
            masks = tf.cast(scores > 0.5, tf.uint8)
        else:
            masks = tf.cast(tf.expand_dims(tf.argmax(scores, axis=-1), -1), tf.uint8)
        # One by one: TF Serving's older versions encode no batch.
        files = tf.map_fn(tf.io.encode_png, masks, fn_output_signature=tf.string)
        return {MASK: files}


class Boxes:
    """Boxes and scores of each anchor -> `boxes`, `scores`, `classes` and `labels` of objects."""

    def __init__(self, decoder: BoxDecoder, classes: int, names: Sequence[str] | None) -> None:
        self.decoder = decoder
        self.names = list(names) if names is not None else [str(i) for i in range(classes)]

    def __call__(self, outputs: Outputs, places: tf.Tensor) -> Outputs:
        """The answer.

        Args:
            outputs: Those of the network.
            places: Of `decode_with_places`.
        """
        found = self.decoder.select(outputs)
        is_one = found["classes"] >= 0
        boxes = boxes_in_files(found["boxes"], places)
        labels = tf.gather(tf.constant(["", *self.names]), found["classes"] + 1)
        return {
            "boxes": tf.where(is_one[..., None], boxes, 0.0),
            SCORES: found[SCORES],
            "classes": found["classes"],
            "labels": labels,
        }


class _Captions:
    """Tokens (B, T) -> `captions` (B,), `words` (B, T), `tokens` and `scores`."""

    def __init__(self, words: Sequence[str] | None) -> None:
        self.words = words

    def __call__(self, outputs: Outputs) -> Outputs:
        answer = {}
        for name, tokens in outputs.items():
            if not name.endswith(TOKENS):
                continue
            of = name.removesuffix(TOKENS)
            words = self._words(tokens)
            sentences = tf.strings.reduce_join(words, axis=-1, separator=" ")
            answer[f"{of}captions"] = tf.strings.strip(sentences)
            answer[f"{of}words"] = words
            answer[name], answer[of + SCORES] = tokens, outputs[of + SCORES]
        return answer

    def _words(self, tokens: tf.Tensor) -> tf.Tensor:
        if self.words is not None:
            return tf.gather(tf.constant(list(self.words)), tokens)
        return tf.where(tokens > 0, tf.strings.as_string(tokens), "")


def main_name(outputs: Mapping[str, T]) -> str:
    """The name of what a network is asked for, among its outputs."""
    return next((name for name in MAINS if name in outputs), "outputs")


def main_output(outputs: Mapping[str, T]) -> T:
    """What classes are ranked by."""
    return outputs[main_name(outputs)]
