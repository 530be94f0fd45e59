"""Ships in a harbour, whose ends look like what lies on land: a class for each pixel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_attn._checks import check_int, check_non_negative_int, check_positive_int
from keras_attn.data.synthetic.scenes import check_noise, integer_range, noisy_pixels, texture

CLASSES = ("end", "hull", "sea", "land")
END, HULL, SEA, LAND = range(4)
WIDTH = 4.0  # of a ship, in pixels
RADIUS = 1.5  # of an end's disk
TRIES = 60  # at a place for a ship, before it is left out
SEA_COLOUR, LAND_COLOUR = (40, 70, 100), (110, 100, 80)


class HarbourScenes(NamedTuple):
    """Aerial pictures of a harbour, with what is known of each pixel.

    Attributes:
        images: uint8 (N, H, W, 3).
        classes: uint8 (N, H, W): 0 is a ship's end, its bow or stern; 1 the rest of its hull, 2 the
            sea, 3 the land and what stands on it.
        ends: float32 (N, M, 2, 2), row and column, in pixels, of each ship's bow and stern; -1
            where a scene has fewer ships.
    """

    images: np.ndarray[Any, Any]
    classes: np.ndarray[Any, Any]
    ends: np.ndarray[Any, Any]

    def coarse(self, stride: int = 8) -> np.ndarray[Any, Any]:
        """The class of each cell of a coarse map.

        A cell that has a ship's end is of that class, one that is a quarter hull is hull, and of
        the others the more frequent one of sea and land counts.

        Args:
            stride: Side of a cell in pixels, which divides the image's sides.

        Returns:
            uint8 (N, H / stride, W / stride).

        Raises:
            ValueError: If the stride doesn't divide the sides.
        """
        count, height, width = self.classes.shape
        if not (isinstance(stride, int) and stride > 0 and not height % stride | width % stride):
            raise ValueError(
                f"`stride` must divide the images' sides, {height} and {width}. "
                f"Received: stride={stride!r}"
            )
        cells = (count, height // stride, stride, width // stride, stride)
        shares = [
            (self.classes == number).reshape(cells).mean(axis=(2, 4))
            for number in range(len(CLASSES))
        ]
        found = np.where(shares[SEA] >= shares[LAND], SEA, LAND).astype("uint8")
        found[shares[HULL] + shares[END] >= 0.25] = HULL
        scene, ship, end = np.nonzero(self.ends[..., 0] >= 0)
        rows, columns = (self.ends[scene, ship, end] // stride).astype(int).T
        found[scene, rows, columns] = END
        return found


def harbour(
    count: int,
    *,
    size: int = 96,
    ships: tuple[int, int] = (1, 6),
    noise: float = 6.0,
    seed: int = 0,
) -> HarbourScenes:
    """Draws a shore with buildings, and ships of any direction on the sea, some side by side.

    Ships are 4 pixels wide and 10 to 30 long, with a pointed bow and a blunt stern. The buildings
    have the width, the colours and the ends of ships: a few pixels don't tell one from the other,
    what lies around them does.

    Args:
        count: Number N of scenes.
        size: Height and width of a scene, 48 or more.
        ships: The least and the greatest number of ships; one that finds no place is left out.
        noise: Standard deviation of the noise, in pixel values from 0 to 255.
        seed: Seed of all that is drawn.

    Returns:
        The scenes; M is the greatest number of ships.

    Raises:
        ValueError: If an argument is outside what is said above.

    Example:
        >>> scenes = harbour(4, seed=1)
        >>> scenes.images.shape, scenes.coarse().shape, scenes.ends.shape
        ((4, 96, 96, 3), (4, 12, 12), (4, 6, 2, 2))
        >>> np.unique(scenes.classes).tolist()
        [0, 1, 2, 3]
    """
    check_positive_int("count", count)
    check_int("size", size, "an integer of at least 48", least=48)
    check_non_negative_int("seed", seed)
    least, most = integer_range("ships", ships, 0, 255)
    check_noise(noise)
    rng = np.random.default_rng(seed)
    images = np.empty((count, size, size, 3), "float64")
    classes = np.empty((count, size, size), "uint8")
    ends = np.full((count, most, 2, 2), -1, "float32")
    for image, classes_of, ends_of in zip(images, classes, ends, strict=True):
        land = _land(rng, size)
        classes_of[:] = np.where(land, LAND, SEA)
        sea = texture(rng, size, SEA_COLOUR, 8.0)
        image[:] = np.where(land[..., None], texture(rng, size, LAND_COLOUR), sea)
        for _ in range(rng.integers(4, 9)):
            building = _hull(size, *_anywhere(rng, size))
            if land[building].all():
                image[building] = _paint(rng)
        before, found = None, 0
        for _ in range(rng.integers(least, most + 1)):
            ship = _free_ship(rng, classes_of == SEA, before)
            if ship is None:
                continue
            centre, angle, length, hull = ship
            image[hull] = _paint(rng)
            classes_of[hull] = HULL
            along = np.array([np.sin(angle), np.cos(angle)]) * (length / 2 - RADIUS)
            ends_of[found] = centre + along, centre - along
            rows, columns = np.nonzero(hull)
            for row, column in ends_of[found]:
                is_end = np.hypot(rows + 0.5 - row, columns + 0.5 - column) <= RADIUS
                classes_of[rows[is_end], columns[is_end]] = END
            before, found = (centre, angle, length), found + 1
    return HarbourScenes(noisy_pixels(rng, images, noise), classes, ends)


Place = tuple[np.ndarray, float, float]  # centre (row, column), direction, length


def _land(rng: np.random.Generator, size: int) -> np.ndarray:
    """The pixels beyond a broken shoreline, a fifth to a half of the scene."""
    rows, columns = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    towards = rows * np.sin(angle) + columns * np.cos(angle)
    along = columns * np.sin(angle) - rows * np.cos(angle)
    shore = np.interp(along, np.linspace(-0.75, 0.75, 8), rng.uniform(0.0, 0.3, 8))
    land: np.ndarray = towards > shore
    return land


def _paint(rng: np.random.Generator) -> np.ndarray:
    """A bright colour, of ships and buildings alike."""
    return rng.uniform(150, 250) + rng.uniform(-25, 25, 3)


def _anywhere(rng: np.random.Generator, size: int) -> Place:
    return rng.uniform(0, size, 2), rng.uniform(0, 2 * np.pi), rng.uniform(10, 30)


def _hull(size: int, centre: np.ndarray, angle: float, length: float) -> np.ndarray:
    """The pixels of a ship: a rectangle whose forward end is pointed."""
    rows, columns = np.mgrid[:size, :size] + 0.5
    down, right = rows - centre[0], columns - centre[1]
    forward = down * np.sin(angle) + right * np.cos(angle)
    across = np.abs(right * np.sin(angle) - down * np.cos(angle))
    half = np.minimum(WIDTH / 2, length / 2 - forward)
    hull: np.ndarray = (np.abs(forward) <= length / 2) & (across <= half)
    return hull


def _free_ship(
    rng: np.random.Generator, sea: np.ndarray, before: Place | None
) -> tuple[np.ndarray, float, float, np.ndarray] | None:
    """A place on the sea alone, half the time beside the ship before, and the ship's pixels."""
    size = len(sea)
    for number in range(TRIES):
        centre, angle, length = _anywhere(rng, size)
        if before is not None and number < TRIES // 2 and rng.random() < 0.5:
            beside = np.array([-np.cos(before[1]), np.sin(before[1])]) * rng.choice([-1, 1])
            centre, angle = before[0] + beside * (WIDTH + 1), before[1]
        reach = np.abs([np.sin(angle), np.cos(angle)]) * length / 2 + WIDTH / 2
        is_within = (centre >= reach).all() and (centre <= size - reach).all()
        if not (is_within and sea[tuple(centre.astype(int))]):
            continue
        hull = _hull(size, centre, angle, length)
        if sea[hull].all():
            return centre, angle, length, hull
    return None
