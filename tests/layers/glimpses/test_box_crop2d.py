"""Crops against slices, a NumPy account and central differences; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.backend import value_and_gradient
from keras_attn.layers import BoxCrop2D, GlimpseSensor

H, W, C = 11, 13, 3


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(2, H, W, C)).astype("float32")


def crop_of(images, boxes, *args, **kwargs):
    return ops.convert_to_numpy(BoxCrop2D(*args, **kwargs)(images, np.asarray(boxes, "float32")))


def matrix(centre, half, length, size, antialias=False):
    """The rule's weights, one by one."""
    step = 2 * half / size
    width = max(1.0, step) if antialias else 1.0
    weights = np.zeros((size, length))
    for i in range(size):
        place = centre - half + (i + 0.5) * step - 0.5
        for k in range(length):
            weights[i, k] = max(0.0, 1 - abs(place - k) / width) / width
    return weights


def by_numpy(image, box, size, antialias=False):
    rows = matrix(box[0], box[2], H, size, antialias)
    columns = matrix(box[1], box[3], W, size, antialias)
    return np.einsum("ih,hwc,jw->ijc", rows, np.asarray(image, "float64"), columns)


def test_the_whole_image_is_itself(images):
    box = [[H / 2, W / 2, H / 2, W / 2]] * 2
    np.testing.assert_array_equal(crop_of(images, box, (H, W)), images)
    np.testing.assert_array_equal(crop_of(images, box, (H, W), antialias=True), images)
    unit = [[0, 0, 1, 1]] * 2
    np.testing.assert_allclose(
        crop_of(images, unit, (H, W), units="normalized"), images, rtol=1e-5, atol=1e-5
    )


def test_whole_pixels_are_a_slice_and_zeros_around(images):
    crops = crop_of(images, [[5, 6, 2, 2], [0, 0, 2, 2]], 4)
    np.testing.assert_array_equal(crops[0], images[0, 3:7, 4:8])
    np.testing.assert_array_equal(crops[1, 2:, 2:], images[1, :2, :2])
    assert not crops[1, :2].any() and not crops[1, :, :2].any()


@pytest.mark.parametrize("antialias", [False, True])
def test_any_box_equals_numpy(images, antialias):
    boxes = np.array([[[5.3, 6.1, 2.7, 3.9], [1.2, 9.4, 5.0, 0.6]], [[12, 1, 4, 4], [6, 6, 5, 6]]])
    crops = crop_of(images, boxes, 4, antialias)
    assert crops.shape == (2, 2, 4, 4, C)
    for b in range(2):
        for r in range(2):
            expected = by_numpy(images[b], boxes[b, r], 4, antialias)
            np.testing.assert_allclose(crops[b, r], expected, atol=1e-5)


def test_antialiased_takes_the_mean_of_what_it_covers():
    stripes = np.tile([0.0, 1.0], 32).reshape(1, 1, 64, 1) * np.ones((1, 64, 1, 1))
    box = [[32, 32, 16, 16]]
    sampled, averaged = (crop_of(stripes, box, 8, antialias) for antialias in (False, True))
    np.testing.assert_allclose(averaged, 0.5, atol=1e-6)
    assert np.abs(sampled - 0.5).max() < 1e-6  # half-way between two pixels
    shifted = crop_of(stripes, [[32, 32.5, 16, 16]], 8)
    assert np.abs(shifted - 0.5).min() > 0.49  # and an eighth of a pixel's size matters


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("units", ["pixels", "normalized"])
def test_the_boxes_gradient_is_that_of_differences(images, antialias, units):
    """Central differences of the NumPy account, in 64 bits."""
    layer = BoxCrop2D(4, antialias, units)
    box, unit = np.array([5.31, 6.17, 2.71, 3.87]), np.ones(4)
    given = box
    if units == "normalized":
        unit = np.array([H, W, H, W]) / 2
        given = box / unit - [1, 1, 0, 0]
    weight = np.random.default_rng(1).normal(size=(4, 4, C))

    def value(box):
        crop = layer(images[:1], box)
        return ops.sum(crop[0] * ops.convert_to_tensor(weight, crop.dtype)), None

    box_given = ops.convert_to_tensor(given[None], "float32")
    gradient = ops.convert_to_numpy(value_and_gradient(value, box_given)[1])[0]
    for number, step in enumerate(1e-6 * np.eye(4)):
        there, back = (
            (by_numpy(images[0], box + sign * step, 4, antialias) * weight).sum()
            for sign in (1, -1)
        )
        expected = (there - back) / 2e-6 * unit[number]
        assert gradient[number] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_the_images_gradient_is_the_crops_transpose(images):
    layer, box = BoxCrop2D(4), np.array([[5.3, 6.1, 2.7, 3.9]], "float32")
    weight = np.random.default_rng(1).normal(size=(1, 4, 4, C)).astype("float32")
    x = ops.convert_to_tensor(images[:1])
    given = ops.convert_to_tensor(weight)
    gradient = value_and_gradient(lambda x: (ops.sum(layer(x, box) * given), None), x)[1]
    rows, columns = matrix(5.3, 2.7, H, 4), matrix(6.1, 3.9, W, 4)
    expected = np.einsum("ih,ijc,jw->hwc", rows, weight[0], columns)
    np.testing.assert_allclose(ops.convert_to_numpy(gradient)[0], expected, atol=1e-5)


def test_boxes_without_extent_are_held_at_the_least(images):
    flat = crop_of(images, [[5, 6, 0, -3], [5, 6, 1, 1]], 3)
    assert np.isfinite(flat).all()
    np.testing.assert_allclose(flat[0], by_numpy(images[0], (5, 6, 1e-3, 1e-3), 3), atol=1e-5)
    boxes = ops.convert_to_tensor([[5.3, 6.1, -1.0, 2.0]])
    layer = BoxCrop2D(3)
    gradient = value_and_gradient(lambda b: (ops.sum(layer(images[:1], b)), None), boxes)[1]
    assert ops.convert_to_numpy(gradient)[0, 2] == 0


def test_channels_first_is_the_transpose(images):
    boxes = np.array([[[5.3, 6.1, 2.7, 3.9], [1, 2, 3, 4]]] * 2)
    first = crop_of(images.transpose(0, 3, 1, 2), boxes, (4, 5), data_format="channels_first")
    last = crop_of(images, boxes, (4, 5))
    np.testing.assert_allclose(first, last.transpose(0, 1, 4, 2, 3), atol=1e-6)


def test_glimpses_are_crops_side_by_side(images):
    places = np.array([[0.1, -0.3], [0.9, 1.0]], "float32")
    sensor = GlimpseSensor(4, num_scales=3, scale=2)
    found = ops.convert_to_numpy(sensor(images, places))
    assert found.shape == (2, 4, 4, 3 * C)
    for number, half in enumerate((2, 4, 8)):
        centre = (places + 1) * [H / 2, W / 2]
        boxes = np.concatenate([centre, np.full((2, 2), half)], axis=1)
        expected = crop_of(images, boxes, 4, antialias=True)
        np.testing.assert_allclose(found[..., number * C : (number + 1) * C], expected, atol=1e-5)
    first = GlimpseSensor(4, num_scales=3, data_format="channels_first")
    turned = ops.convert_to_numpy(first(images.transpose(0, 3, 1, 2), places))
    np.testing.assert_allclose(turned, found.transpose(0, 3, 1, 2), atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: BoxCrop2D(0), "`size` must be a positive integer. Received: size=0"),
        (lambda x: BoxCrop2D((2, 3, 4)), "`size` must be a positive integer or two of them"),
        (lambda x: BoxCrop2D(2, units="feet"), "`units` must be one of 'pixels', 'normalized'"),
        (lambda x: BoxCrop2D(2, min_half=0), "`min_half` must be positive. Received: min_half=0"),
        (
            lambda x: BoxCrop2D(2)(x, x[:, 0, :3, 0]),
            r"`boxes` must be \(B, 4\) or \(B, R, 4\).*3\)",
        ),
        (lambda x: BoxCrop2D(2)(x[0], x[0, :2, :4, 0]), "`images` must have four axes"),
        (lambda x: GlimpseSensor(0), "`glimpse_size` must be a positive integer"),
        (lambda x: GlimpseSensor(4, num_scales=0), "`num_scales` must be a positive integer"),
        (lambda x: GlimpseSensor(4, scale=0.5), "`scale` must be 1 or more. Received: scale=0.5"),
        (lambda x: GlimpseSensor(4)(x, x[:, 0, :3, 0]), r"`locations` must be \(B, 2\): y and x"),
    ],
)
def test_wrong_arguments(images, call, message):
    with pytest.raises(ValueError, match=message):
        call(images)


def test_a_model_of_any_size_saves_and_loads(images, tmp_path):
    image, place = keras.Input((None, None, C)), keras.Input((2,))
    x = GlimpseSensor(4, num_scales=2)(image, place)
    boxes = keras.Input((None, 4))
    model = keras.Model([image, place, boxes], [x, BoxCrop2D(3)(image, boxes)])
    assert [y.shape for y in model.outputs] == [(None, 4, 4, 2 * C), (None, None, 3, 3, C)]
    given = [images, np.zeros((2, 2), "float32"), np.full((2, 5, 4), 3, "float32")]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for got, expected in zip(loaded(given), model(given), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(got), ops.convert_to_numpy(expected))


@pytest.mark.parametrize("dtype", ["mixed_float16", "bfloat16", "float32"])
def test_boxes_are_exact_in_every_policy(dtype):
    """A place near 1000 has no half pixels in 16 bits."""
    image = np.zeros((1, 1024, 8, 1), "float32")
    image[0, 1001] = 1
    crop = BoxCrop2D(2, dtype=dtype)(image, np.array([[1001.5, 4, 1, 1]], "float32"))
    assert keras.backend.standardize_dtype(crop.dtype) == dtype.removeprefix("mixed_")
    values = ops.convert_to_numpy(ops.cast(crop, "float32"))[0, :, :, 0]
    np.testing.assert_array_equal(values, [[0.5, 0.5], [0.5, 0.5]])
