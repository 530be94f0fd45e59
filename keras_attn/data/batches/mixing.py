"""MixUp and CutMix in two parts: a few numbers for each image, and what the device does by them.

The numbers are drawn where the batches are made. The images go to the device as they are, of bytes
mostly, and become numbers of 32 bits there. The arithmetic is that of Keras's layers `MixUp` and
`CutMix`, and so are the draws: the same seed gives the same images.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_attn.typing import Tensor

# Of each image: the other's number, and the share of this one's label. For CutMix the left, right,
# top and bottom of the box besides.
COLUMNS = {"mixup": 2, "cutmix": 6}

# "mixup" (Zhang et al. 2017), CIFAR: alpha 1. Differs: a weight is drawn for each image.
# "CutMix" (Yun et al. 2019): alpha 1. Differs: a box is drawn for each image, and a batch is always
# mixed, where the paper mixes half of the batches on CIFAR.
ALPHA = 1.0

Draw = Callable[[], Tensor]


def mixes_of(augment: Sequence[str]) -> tuple[str, ...]:
    """Those of the augmentations that mix images, in their order."""
    return tuple(name for name in augment if name in COLUMNS)


def draw_mixes(names: Sequence[str], shape: tuple[int, int, int], draws: dict[str, Draw]) -> Tensor:
    """Draws what `mix` needs for a batch.

    Args:
        names: Names of the mixing augmentations, one at least, see `mixes_of`.
        shape: Number, height and width of the images.
        draws: Name -> function that gives one seed of the backend after another.

    Returns:
        float32 `(B, columns)`, as many as `COLUMNS` has for the names.
    """
    count, height, width = shape
    found: list[Tensor] = []
    for name in names:
        seeds = _Seeds(draws[name])
        if name == "mixup":
            found += [_others(count, seeds), _weights(count, ALPHA, seeds)]
            continue
        alpha = keras.random.uniform((), ALPHA, ALPHA, dtype="float32", seed=seeds) + 1e-6
        side = ops.sqrt(1.0 - _weights(count, alpha, seeds))
        left, right = _bounds(count, width, side, seeds)
        top, bottom = _bounds(count, height, side, seeds)
        kept = 1.0 - (right - left) * (bottom - top) / (width * height)
        found += [_others(count, seeds), kept, left, right, top, bottom]
    return ops.stack(found, axis=1)


def mix(
    images: Tensor, labels: Tensor, drawn: Tensor | None, names: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Makes numbers of a batch's pixels, and mixes its images; nothing here is drawn.

    Args:
        images: Images `(B, H, W, C)` with values 0..255, of any type.
        labels: Labels, float32 `(B, classes)`.
        drawn: Numbers from `draw_mixes`, float32 `(B, columns)`; `None` without `names`.
        names: Names of the mixing augmentations, see `mixes_of`.

    Returns:
        float32 images and labels, of the same shapes.

    Example:
        >>> images, labels = np.array([[[[0]]], [[[200]]]], "uint8"), np.eye(2, dtype="float32")
        >>> drawn = np.array([[1, 0.75], [0, 0.25]], "float32")
        >>> [np.ravel(part).tolist() for part in mix(images, labels, drawn, ["mixup"])]
        [[50.0, 50.0], [0.75, 0.25, 0.75, 0.25]]
    """
    images = ops.cast(images, "float32")
    if not names:
        return images, labels
    columns = iter(ops.unstack(drawn, num=sum(COLUMNS[name] for name in names), axis=1))
    for name in names:
        number, kept = next(columns), next(columns)
        others = ops.cast(number, "int32")
        other_images, other_labels = (ops.take(x, others, axis=0) for x in (images, labels))
        if name == "mixup":
            share = kept[:, None, None, None]
            images = share * images + (1.0 - share) * other_images
        else:
            sides = [next(columns)[:, None, None, None] for _ in range(4)]
            images = ops.where(_is_inside(images, *sides), other_images, images)
        labels = kept[:, None] * labels + (1.0 - kept[:, None]) * other_labels
    return images, labels


class _Seeds(keras.random.SeedGenerator):
    """Gives what `draw` gives. It has no state: data functions may not make variables."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def next(self, ordered: bool = True) -> Any:
        """The next seed."""
        return self._draw()


def _others(count: int, seeds: _Seeds) -> Tensor:
    """Another image for each: their numbers in another order."""
    return ops.cast(keras.random.shuffle(ops.arange(count, dtype="int32"), seed=seeds), "float32")


def _weights(count: int, alpha: Any, seeds: _Seeds) -> Tensor:
    return keras.random.beta((count,), alpha, alpha, dtype="float32", seed=seeds)


def _bounds(count: int, length: int, share: Tensor, seeds: _Seeds) -> tuple[Tensor, Tensor]:
    """Where the box begins and ends along a side, in pixels that need not be whole."""
    part = share * length
    start = keras.random.uniform((count,), dtype="float32", seed=seeds) * (length - part)
    return start, start + part


def _is_inside(images: Tensor, left: Tensor, right: Tensor, top: Tensor, bottom: Tensor) -> Tensor:
    """Whether a pixel lies in its image's box: `(B, H, W, 1)`."""
    height, width = images.shape[1:3]
    rows = ops.arange(height, dtype="float32")[None, :, None, None]
    columns = ops.arange(width, dtype="float32")[None, None, :, None]
    in_columns = ops.logical_and(columns >= left, columns < right)
    return ops.logical_and(in_columns, ops.logical_and(rows >= top, rows < bottom))
