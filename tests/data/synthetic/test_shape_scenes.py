"""Scenes of shapes: what is known of pixels and objects agrees with what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from keras_attn.data.synthetic import shape_scenes


@pytest.fixture(scope="module")
def scenes():
    return shape_scenes(40, size=48, objects=(0, 5), noise=0, seed=3)


def test_pixels_objects_and_boxes_agree(scenes):
    assert scenes.images.shape == (40, 48, 48, 3)
    assert {str(x.dtype) for x in (scenes.images, scenes.masks, scenes.instances)} == {"uint8"}
    counts = (scenes.labels >= 0).sum(axis=1)
    assert set(counts) == {0, 1, 2, 3, 4, 5}
    for labels, boxes, corners, mask, instances, count in zip(
        scenes.labels,
        scenes.boxes,
        scenes.corners,
        scenes.masks,
        scenes.instances,
        counts,
        strict=True,
    ):
        assert (labels[:count] >= 0).all() and (labels[count:] == -1).all()
        assert not boxes[count:].any() and (corners[count:] == -1).all()
        np.testing.assert_array_equal(mask > 0, instances > 0)
        assert instances.max() == count
        for number in range(count):
            seen = instances == number + 1
            assert set(mask[seen]) == {labels[number] + 1}
            left, top, right, bottom = np.round(corners[number]).astype(int)
            np.testing.assert_allclose(corners[number], [left, top, right, bottom], atol=1e-4)
            assert seen[top:bottom, left:right].sum() == seen.sum()
            for edge in (seen[top], seen[bottom - 1], seen[:, left], seen[:, right - 1]):
                assert edge.any()


def test_each_object_has_one_colour_unlike_the_ground(scenes):
    for image, instances in zip(scenes.images, scenes.instances, strict=True):
        ground = image[instances == 0].mean(axis=0)
        for number in range(1, instances.max() + 1):
            [colour] = np.unique(image[instances == number], axis=0)
            assert np.abs(colour - ground).max() > 50


def test_shapes_fill_what_they_should():
    """Of its box: a square all, a disk pi / 4, a triangle a half."""
    scenes = shape_scenes(60, size=96, objects=(1, 1), sides=(40, 60), seed=1)
    filled = {0: np.pi / 4, 1: 1.0, 2: 0.5}
    assert set(scenes.labels[:, 0]) == set(filled)
    for label, corners, mask in zip(
        scenes.labels[:, 0], scenes.corners[:, 0], scenes.masks, strict=True
    ):
        left, top, right, bottom = corners
        assert 38 <= right - left <= 61
        share = (mask > 0).sum() / ((right - left) * (bottom - top))
        assert share == pytest.approx(filled[label], abs=0.03)


def test_classes_by_size():
    scenes = shape_scenes(100, size=96, objects=(1, 1), sides=(6, 60), classes="size", seed=1)
    sides = (scenes.corners[:, 0, 2:] - scenes.corners[:, 0, :2]).max(axis=-1)
    bounds = 6 * (61 / 6) ** np.array([0, 1 / 3, 2 / 3, 1])
    for label, low, high in zip(range(3), bounds, bounds[1:], strict=False):
        of = sides[scenes.labels[:, 0] == label]
        assert len(of) > 10 and of.min() >= low - 1 and of.max() <= high + 1


def test_overlap():
    apart = shape_scenes(30, size=48, objects=(5, 5), overlap=False, seed=2)
    over = shape_scenes(30, size=48, objects=(5, 5), seed=2)

    def whole_squares(scenes):
        """Share of the squares that fill their boxes."""
        found = []
        for labels, corners, instances in zip(
            scenes.labels, scenes.corners, scenes.instances, strict=True
        ):
            for number in np.flatnonzero(labels == 1):
                left, top, right, bottom = corners[number]
                area = (right - left) * (bottom - top)
                found.append((instances == number + 1).sum() == pytest.approx(area))
        return np.mean(found)

    assert whole_squares(apart) == 1 > whole_squares(over)


def test_a_seed_decides_everything():
    for one, other in zip(
        shape_scenes(3, size=32, seed=5), shape_scenes(3, size=32, seed=5), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert (
        shape_scenes(3, size=32, seed=6).images != shape_scenes(3, size=32, seed=5).images
    ).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "`count` must be a positive integer"),
        ({"size": 15}, "`size` must be an integer of at least 16"),
        ({"objects": (3, 2)}, "`objects` must be two integers from 0 to 255, the lesser first"),
        ({"objects": 3}, "`objects` must be two integers"),
        ({"sides": (3, 20)}, r"`sides` must be two integers from 4 to 96.*sides=\(3, 20\)"),
        ({"sides": (10, 97)}, "`sides` must be two integers"),
        ({"classes": "colour"}, "`classes` must be one of 'shape', 'size'"),
        ({"noise": -1.0}, "`noise` must be 0 or more"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        shape_scenes(**{"count": 1, **options})
