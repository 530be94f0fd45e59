"""Scenes of shapes on a textured ground, with the class of each pixel and the box of each shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from keras_attn._checks import check_int, check_non_negative_int, check_one_of, check_positive_int
from keras_attn.data.synthetic.scenes import check_noise, integer_range, noisy_pixels, texture

SHAPES = ("disk", "square", "triangle")
SIZES = ("small", "middle", "large")
TRIES = 30  # at a place for a shape, before it is left out
VISIBLE = 0.5  # of a shape that others cover


class ShapeScenes(NamedTuple):
    """Scenes with what is known of each pixel and of each object.

    Attributes:
        images: uint8 (N, H, W, 3).
        labels: int64 (N, M), the objects' classes from 0 on; -1 where a scene has fewer objects.
        boxes: float32 (N, M, 4), of what is seen of each object, in the normalized units of
            `keras_attn.layers.BoxCrop2D`: centre y, centre x, half the height, half the width; 0
            where there is no object.
        masks: uint8 (N, H, W), each pixel's class plus 1; 0 is the ground.
        instances: uint8 (N, H, W), which object a pixel shows, from 1 on; 0 is the ground.
    """

    images: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]
    boxes: np.ndarray[Any, Any]
    masks: np.ndarray[Any, Any]
    instances: np.ndarray[Any, Any]

    @property
    def corners(self) -> np.ndarray[Any, Any]:
        """The boxes in pixels, float32 (N, M, 4): left, top, right, bottom; -1 of no object."""
        height, width = self.images.shape[1:3]
        centre, half = self.boxes[..., :2], self.boxes[..., 2:]
        top_left, bottom_right = (
            (centre + sign * half + [1, 1]) * [height / 2, width / 2] for sign in (-1, 1)
        )
        found = np.concatenate([top_left[..., ::-1], bottom_right[..., ::-1]], axis=-1)
        return np.where(self.labels[..., None] < 0, -1, found).astype("float32")


def shape_scenes(
    count: int,
    *,
    size: int = 96,
    objects: tuple[int, int] = (1, 4),
    sides: tuple[int, int] | None = None,
    classes: str = "shape",
    overlap: bool = True,
    noise: float = 10.0,
    seed: int = 0,
) -> ShapeScenes:
    """Draws scenes of disks, squares and triangles, for segmentation and detection.

    Each shape has a colour of its own and a place anywhere within the scene; where two overlap, the
    later one is seen, and at least half of the other. The ground is a smooth texture.

    Args:
        count: Number N of scenes.
        size: Height and width of a scene, 16 or more.
        objects: The least and the greatest number of shapes in a scene; one that finds no place is
            left out.
        sides: The least and the greatest side of a shape in pixels, their logarithms drawn evenly;
            by default from 1/12 to 1/2 of the scene, and at least 4.
        classes: `"shape"`: 0 is a disk, 1 a square, 2 a triangle. `"size"`: 0 to 2 are small to
            large, thirds of the ratio of the sides, whatever the shape.
        overlap: Whether shapes may overlap.
        noise: Standard deviation of the noise, in pixel values from 0 to 255.
        seed: Seed of all that is drawn.

    Returns:
        The scenes; M is the greatest number of objects.

    Raises:
        ValueError: If an argument is outside what is said above.

    Example:
        >>> scenes = shape_scenes(8, size=48)
        >>> scenes.images.shape, scenes.masks.shape, scenes.boxes.shape
        ((8, 48, 48, 3), (8, 48, 48), (8, 4, 4))
        >>> scenes.masks.max(), scenes.corners.max() <= 48
        (np.uint8(3), np.True_)
    """
    check_positive_int("count", count)
    check_int("size", size, "an integer of at least 16", least=16)
    check_non_negative_int("seed", seed)
    check_one_of("classes", classes, ("shape", "size"))
    least, most = integer_range("objects", objects, 0, 255)
    shortest, longest = integer_range("sides", sides or (max(4, size // 12), size // 2), 4, size)
    check_noise(noise)
    rng = np.random.default_rng(seed)
    images = np.empty((count, size, size, 3), "float64")
    labels = np.full((count, most), -1, "int64")
    boxes = np.zeros((count, most, 4), "float32")
    instances = np.zeros((count, size, size), "uint8")
    for number in range(count):
        images[number] = texture(rng, size, rng.uniform(60, 150, 3))
        ground = images[number].mean(axis=(0, 1))
        wanted, found = rng.integers(least, most + 1), 0
        for _ in range(wanted):
            kind = int(rng.integers(len(SHAPES)))
            place = next(
                _places(rng, kind, size, (shortest, longest), instances[number], overlap), None
            )
            if place is None:
                continue
            side, covered = place
            images[number][covered] = _colour(rng, ground)
            third = int(3 * np.log(side / shortest) / np.log((longest + 1) / shortest))
            labels[number, found] = kind if classes == "shape" else third
            found += 1
            instances[number][covered] = found
        for which in range(found):
            rows, columns = np.nonzero(instances[number] == which + 1)
            low = np.array([rows.min(), columns.min()])
            high = np.array([rows.max(), columns.max()]) + 1
            boxes[number, which] = [*((low + high) / size - 1), *((high - low) / size)]
    pixels = noisy_pixels(rng, images, noise)
    of_object = np.concatenate([np.zeros((count, 1), "uint8"), labels + 1], axis=1)
    masks = np.take_along_axis(of_object, instances.reshape(count, -1).astype("int64"), axis=1)
    return ShapeScenes(
        pixels, labels, boxes, masks.reshape(instances.shape).astype("uint8"), instances
    )


def _colour(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """A colour that is far from the ground's."""
    while True:
        colour = rng.uniform(0, 255, 3)
        if np.abs(colour - ground).max() > 70:
            return colour


def _places(
    rng: np.random.Generator,
    kind: int,
    size: int,
    sides: tuple[int, int],
    instances: np.ndarray,
    overlap: bool,
) -> Iterator[tuple[float, np.ndarray]]:
    """Sides and pixels of a shape, where enough is left of the others."""
    rows, columns = np.mgrid[:size, :size] + 0.5
    for _ in range(TRIES):
        side = float(np.exp(rng.uniform(*np.log(sides))))
        top, left = rng.uniform(0, size - side, 2)
        y, x = (rows - top) / side, (columns - left) / side  # 0 to 1 within the shape's square
        within = (y >= 0) & (y <= 1) & (x >= 0) & (x <= 1)
        covered = {
            "disk": np.hypot(y - 0.5, x - 0.5) <= 0.5,
            "square": within,
            "triangle": within & (np.abs(x - 0.5) <= y / 2),
        }[SHAPES[kind]]
        if not covered.any():
            continue
        hidden = instances[covered]
        if not overlap and hidden.any():
            continue
        before = np.bincount(instances.ravel())[1:]
        taken = np.bincount(hidden, minlength=len(before) + 1)[1:]
        if (taken <= (1 - VISIBLE) * before).all():
            yield side, covered
