"""Digits on canvases: where the truth says, in order, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from keras_attn.data.readers.digits import digit_images
from keras_attn.data.synthetic import cluttered_digits, digit_pairs


@pytest.fixture(scope="module")
def digits():
    """One digit a class, so that the class tells the pixels; a height that isn't the width."""
    return np.random.default_rng(0).integers(1, 256, (5, 6, 4)).astype("uint8"), np.arange(5) + 3


def in_pixels(boxes, size):
    """Centres and halves."""
    return np.round((boxes + [1, 1, 0, 0]) * size / 2, 3)


def cut(image, box):
    y, x, half_height, half_width = in_pixels(box, len(image))
    rows = slice(int(y - half_height), int(y + half_height))
    return image[rows, int(x - half_width) : int(x + half_width), 0]


def test_a_digit_alone_is_where_its_box_says(digits):
    scenes = cluttered_digits(200, 12, clutter=0, digits=digits)
    assert scenes.images.dtype == "uint8"
    assert scenes.images.shape == (200, 12, 12, 1)
    for image, label, box in zip(*scenes, strict=True):
        np.testing.assert_array_equal(cut(image, box), digits[0][label - 3])
        assert image.astype(int).sum() == digits[0][label - 3].astype(int).sum()
    assert set(scenes.labels) == set(digits[1])
    boxes = in_pixels(scenes.boxes, 12)
    corners = boxes[:, :2] - boxes[:, 2:]
    assert corners.min(axis=0).tolist() == [0, 0]
    assert corners.max(axis=0).tolist() == [6, 8]


def test_clutter_is_drawn_around_and_never_over(digits):
    scenes = cluttered_digits(100, 12, clutter=3, piece=2, digits=digits)
    outside = 0
    for image, label, box in zip(*scenes, strict=True):
        digit = digits[0][label - 3]
        assert (cut(image, box) >= digit).all()
        outside += np.count_nonzero(image) - digit.size
    assert 100 * 3 < outside <= 100 * 3 * 4


def test_two_digits_from_left_to_right(digits):
    scenes = digit_pairs(100, 12, digits=digits)
    assert scenes.labels.shape == (100, 2)
    for image, labels, boxes in zip(*scenes, strict=True):
        for label, box in zip(labels, boxes, strict=True):
            np.testing.assert_array_equal(cut(image, box), digits[0][label - 3])
    columns = in_pixels(scenes.boxes, 12)[..., 1]
    assert (columns[:, 1] - columns[:, 0]).min() == 4
    assert columns[:, 0].min() == 2
    assert columns[:, 1].max() == 10


@pytest.mark.parametrize("draw", [cluttered_digits, digit_pairs])
def test_the_seed_decides(draw):
    first, again, other = (
        draw(20, 24, **({"piece": 4} if draw is cluttered_digits else {}), seed=s)
        for s in (1, 1, 2)
    )
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert (first.images != other.images).any()


def test_scikit_learns_digits_by_default():
    images, _, boxes = cluttered_digits(20, 20, clutter=0)
    known = {np.rint(x).astype("uint8").tobytes() for x in digit_images()[0]}
    assert all(cut(*each).tobytes() in known for each in zip(images, boxes, strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "`count` must be a positive integer. Received: count=0"),
        ({"size": 7}, "`size` must be at least 8 for digits of 8 x 8. Received: size=7"),
        ({"clutter": -1}, "`clutter` must be an integer of at least 0. Received: clutter=-1"),
        ({"piece": 9}, "`piece` must be at most as large as a digit. Received: piece=9, digits of"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
        (
            {"digits": (np.zeros((3, 8)), np.zeros(3))},
            r"`digits` must be \(M, h, w\) pixels.*shapes \(3, 8\) and \(3,\)",
        ),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        cluttered_digits(**{"count": 2, **arguments})


def test_a_canvas_too_narrow_for_two():
    with pytest.raises(ValueError, match="`size` must be at least 16 .* Received: size=15"):
        digit_pairs(2, 15)
