"""What the networks for CIFAR take, and the names of what they give."""

from __future__ import annotations

import keras

from keras_attn.applications import imagenet
from keras_attn.applications.common.predictions import (
    Decoded,
    labels_of,
    name_predictions,
    numbered,
)
from keras_attn.applications.common.preprocessing import CIFAR, preprocess_as
from keras_attn.typing import Tensor

CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle
bowl boy bridge bus butterfly camel can castle caterpillar cattle
chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
plain plate poppy porcupine possum rabbit raccoon ray road rocket
rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


def preprocess_input(
    x: Tensor, data_format: str | None = None, *, model: keras.Model | None = None
) -> Tensor:
    """Normalises RGB pixels as networks of 32x32 images take them: (x / 255 - mean) / std.

    Mean and deviation are those of CIFAR-10's training images, or what a given model asks for;
    see `keras_attn.applications.preprocess_input`.

    Args:
        x: Array or tensor of pixels in 0..255, of shape (H, W, 3) or (B, H, W, 3); with
            `channels_first`, (3, H, W) or (B, 3, H, W). It stays as it is.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        model: A network that says how; one that normalises itself gets its pixels as they are.

    Returns:
        A new array or tensor of x's shape, float32.

    Raises:
        ValueError: If `x` is no such image, or `data_format` is none of the two.

    Example:

    >>> pixels = np.full((1, 2, 2, 3), 255, "uint8")
    >>> print(preprocess_input(pixels)[0, 0, 0].round(2))
    [2.06 2.13 2.12]
    """
    return preprocess_as(CIFAR, x, data_format, model)


def decode_predictions(preds: Tensor, top: int = 5, *, model: keras.Model | None = None) -> Decoded:
    """Names the classes that a CIFAR classifier thinks most likely.

    Args:
        preds: Array or tensor of shape (B, 10) or (B, 100), for CIFAR-10 and CIFAR-100; of a
            model whose weights have names of their own, as many.
        top: Positive integer, how many classes to name at most.
        model: The network, whose weights may have names.

    Returns:
        For each image the classes by falling score, as (number, name, score).

    Raises:
        ValueError: If `preds` is of another shape, or `top` no positive integer.

    Example:

    >>> preds = np.zeros((1, 10))
    >>> preds[0, 3] = 0.75
    >>> decode_predictions(preds, top=1)
    [[('3', 'cat', 0.75)]]
    """
    if labels_of(model) is not None:
        return imagenet.decode_predictions(preds, top, model=model)
    names = CIFAR100 if len(preds.shape) == 2 and preds.shape[1] == 100 else CIFAR10
    return name_predictions(preds, numbered(names.split()), top)
