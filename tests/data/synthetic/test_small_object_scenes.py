"""Scenes against the truth that comes with them."""

from __future__ import annotations

import numpy as np
import pytest

from keras_attn.data.synthetic import small_object_scenes
from keras_attn.data.synthetic.small_object_scenes import digit


@pytest.fixture(scope="module")
def scenes():
    return small_object_scenes(60, noise=0, seed=3)


def corners(box, size):
    low, high = (
        np.round((box[:2] + sign * box[2:] + 1) / 2 * size).astype(int) for sign in (-1, 1)
    )
    return slice(low[0], high[0]), slice(low[1], high[1])


def test_each_box_holds_its_digit_and_nothing_else_is_as_bright(scenes):
    assert scenes.images.shape == (60, 96, 96, 1) and scenes.images.dtype == np.uint8
    for image, label, box in zip(scenes.images[..., 0], scenes.labels, scenes.boxes, strict=True):
        rows, columns = corners(box, 96)
        np.testing.assert_array_equal(image[rows, columns] == 240, digit(label, 12))
        assert (image == 240).sum() == digit(label, 12).sum()
        beside = image.copy()
        beside[rows, columns] = beside.min()
        values = np.unique(beside)
        assert len(values) == 2 and 0.02 < (beside == values[1]).mean() < 0.2  # ground and shape


def test_a_seed_is_a_set_of_scenes():
    one, same, other = (small_object_scenes(12, seed=seed) for seed in (0, 0, 1))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.images, other.images)


def test_classes_are_even_and_digits_differ(scenes):
    assert np.bincount(scenes.labels).tolist() == [6] * 10
    assert np.bincount(small_object_scenes(7, classes=3).labels).tolist() == [3, 2, 2]
    for height in (5, 12, 20):
        drawn = {digit(number, height).tobytes() for number in range(10)}
        assert len(drawn) == 10
    one = digit(1, 12)
    assert one[:, -1].all() and one.sum() == 12  # the two segments on the right


def test_digits_are_anywhere():
    boxes = small_object_scenes(400, size=48, digit_height=10).boxes
    assert np.abs(boxes[:, :2].mean(axis=0)).max() < 0.1
    reach = 1 - boxes[0, 2:]  # of the centre
    assert (boxes[:, :2].max(axis=0) > 0.9 * reach).all()
    assert (boxes[:, :2].min(axis=0) < -0.9 * reach).all()
    assert (np.abs(boxes[:, :2]) <= reach + 1e-6).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "`count` must be a positive integer. Received: count=0"),
        ({"size": 47}, "`size` must be an integer of at least 4 times `digit_height`. .*size=47"),
        ({"digit_height": 4}, "`digit_height` must be an integer of at least 5"),
        ({"classes": 11}, "`classes` must be an integer from 2 to 10. Received: classes=11"),
        ({"classes": 1}, "`classes` must be an integer from 2 to 10. Received: classes=1"),
        ({"noise": -1}, "`noise` must be 0 or more. Received: noise=-1"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        small_object_scenes(**{"count": 2, **options})
