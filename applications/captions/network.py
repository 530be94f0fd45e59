"""The graph of Show, Attend and Tell: any network's features, and a decoder that looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_attn.applications.captions.captioner import Captioner
from keras_attn.applications.common.backbone import image_shape
from keras_attn.layers import CaptionDecoder


def ShowAttendTell(
    backbone: keras.Model,
    vocabulary_size: int,
    *,
    max_length: int = 20,
    input_shape: tuple[int, int, int] | None = None,
    doubly_stochastic: float = 1.0,
    entropy: float = 0.02,
    words: Sequence[str] | None = None,
    name: str = "show_attend_tell",
    **decoder: Any,
) -> Captioner:
    """Captions an image word by word, and says of each word which places it comes from.

    [Xu et al., "Show, Attend and Tell", ICML 2015](https://arxiv.org/abs/1502.03044), on the
    features of any network. It trains by plain `fit`, for which `compile` needs no loss, on a dict
    of `"image"` and `"tokens"`, with the tokens as targets once more. `generate` writes captions,
    and `writer` is the network that does so, to be exported. In the paper the features are fixed:
    set `backbone.trainable = False` for that.

    Tokens are those of `keras.layers.TextVectorization`: 0 ends a caption, 1 is an unknown word.

    Args:
        backbone: Functional model from images (B, H, W, C) to features (B, h, w, D): ours and
            those of keras.applications with `include_top=False`.
        vocabulary_size: Number V of tokens, the two included.
        max_length: Number T of tokens of the captions that it is trained with, the end included.
        input_shape: (H, W, C) of the images, where the backbone takes any size.
        doubly_stochastic: See `Captioner`, as for `entropy`.
        entropy: Weight of the entropy of a hard attention in the loss.
        words: The words that the tokens stand for, as `TextVectorization.get_vocabulary` gives
            them; kept with the model, which then writes sentences, as its export does. A word that
            isn't among them is token 1.
        name: The model's name.
        **decoder: Options of `CaptionDecoder`, such as `units` and `mode`.

    Returns:
        A functional model from `{"image": (B, H, W, C), "tokens": (B, T)}` to the dict of
        `CaptionDecoder`.

    Raises:
        ValueError: If an argument is wrong, or the features' size isn't known.

    Example:

    >>> backbone = keras_attn.applications.CIFARResNet(8, include_top=False)
    >>> model = keras_attn.applications.ShowAttendTell(
    ...     backbone, 50, max_length=6, input_shape=(32, 32, 3), units=16, attention_units=16,
    ...     embedding_dim=8)
    >>> model.compile("adam", metrics=["accuracy"])
    >>> data = {"image": np.zeros((4, 32, 32, 3)), "tokens": np.full((4, 6), 2)}
    >>> sorted(model.fit(data, data["tokens"], verbose=0).history)
    ['accuracy', 'loss']
    >>> model.generate(data["image"], max_length=5, beam_width=3)["attention"].shape
    (4, 5, 8, 8)
    """
    image = keras.Input(image_shape(backbone, input_shape), name="image")
    tokens = keras.Input((max_length,), dtype="int32", name="tokens")
    outputs = CaptionDecoder(vocabulary_size, name="decoder", **decoder)(backbone(image), tokens)
    return Captioner(
        {"image": image, "tokens": tokens},
        outputs,
        doubly_stochastic=doubly_stochastic,
        entropy=entropy,
        words=words,
        name=name,
    )
