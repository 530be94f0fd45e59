"""Proposals and zooms against NumPy and central differences; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.backend import value_and_gradient
from keras_attn.layers import AttentionProposal, AttentionZoom, BoxCrop2D
from keras_attn.layers.glimpses.attention_proposal import box_of, inside
from keras_attn.layers.glimpses.attention_zoom import boxcar

H, W, C = 11, 13, 3


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(2, H, W, C)).astype("float32")


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(1).normal(size=(5, 7, 5, 3)).astype("float32")


def random_proposal(**options):
    layer = AttentionProposal(4, min_half=0.2, **options)
    layer.build((None, 3, 7, 5) if options else (None, 7, 5, 3))
    rng = np.random.default_rng(2)
    layer.set_weights([rng.normal(0, 0.7, w.shape) for w in layer.weights])
    return layer


def logistic(z):
    return 1 / (1 + np.exp(-np.clip(z, -700, 700)))


def by_numpy(image, box, size, sharpness=None, per_box=False, antialias=True):
    """The zoom's equations in 64 bits."""
    image = np.asarray(image, "float64")
    matrices = []
    for axis, (length, out) in enumerate(zip(image.shape[:2], size, strict=True)):
        centre, half = (box[axis] + 1) * length / 2, box[axis + 2] * length / 2
        if sharpness is not None:
            k = sharpness / half if per_box else sharpness
            place = np.arange(length) + 0.5
            weight = logistic(k * (place - centre + half)) - logistic(k * (place - centre - half))
            image = image * np.expand_dims(weight, [1 - axis, 2])
        step = 2 * half / out
        width = max(1.0, step) if antialias else 1.0
        at = centre - half + (np.arange(out) + 0.5) * step - 0.5
        distance = np.abs(at[:, None] - np.arange(length))
        matrices.append(np.maximum(0, 1 - distance / width) / width)
    return np.einsum("ih,hwc,jw->ijc", matrices[0], image, matrices[1])


def test_the_papers_number_of_weights():
    layer = AttentionProposal(1024, 2)
    layer.build((None, 28, 28, 512))
    assert layer.count_params() == 512 * 14 * 14 * 1024 + 1024 + 1024 * 3 + 3 == 102_764_547


def test_proposals_in_numpy(features):
    layer = random_proposal()
    kernel, bias, last, last_bias = layer.get_weights()
    pooled = features[:, :6, :4].reshape(5, 3, 2, 2, 2, 3).max(axis=(2, 4)).reshape(5, -1)
    t = logistic(np.tanh(pooled @ kernel + bias) @ last + last_bias)
    half = np.minimum(np.maximum(2 * t[:, 2:], 0.4), 1)
    centre = np.minimum(np.maximum(2 * t[:, :2] - 1, half - 1), 1 - half)
    boxes = ops.convert_to_numpy(layer(features))
    np.testing.assert_allclose(boxes, np.concatenate([centre, half, half], -1), atol=1e-6)
    free = ops.convert_to_numpy(layer(features, clamp=False))
    expected = np.concatenate([2 * t[:, :2] - 1, 2 * t[:, 2:], 2 * t[:, 2:]], -1)
    np.testing.assert_allclose(free, expected, atol=1e-6)
    assert np.abs(free - boxes).max() > 0.1  # some were outside


def test_channels_first_proposes_the_same(features):
    last, first = random_proposal(), random_proposal(data_format="channels_first")
    first.set_weights(last.get_weights())
    np.testing.assert_allclose(
        ops.convert_to_numpy(first(features.transpose(0, 3, 1, 2))),
        ops.convert_to_numpy(last(features)),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("proposal", "expected"),
    [
        ([0.5, 0.5, 0.3], [0, 0, 0.6, 0.6]),
        ([0.0, 1.0, 0.3], [-0.4, 0.4, 0.6, 0.6]),  # centres moved inside: 0.6 from the border
        ([0.0, 1.0, 0.9], [0, 0, 1, 1]),  # larger than the image
        ([0.9, 0.4, 0.1], [0.6, -0.2, 0.4, 0.4]),  # smaller than the least
    ],
)
def test_bounds_by_hand(proposal, expected):
    box = inside(box_of(ops.convert_to_tensor([proposal])), 0.2)
    np.testing.assert_allclose(ops.convert_to_numpy(box)[0], expected, atol=1e-6)


@pytest.mark.parametrize("length", [0.9, 0.1])
def test_a_bound_has_no_gradient(length):
    proposal = ops.convert_to_tensor([[0.5, 0.45, length]])
    weight = ops.convert_to_tensor([1.0, 2.0, 3.0, 4.0])
    gradient = value_and_gradient(
        lambda t: (ops.sum(inside(box_of(t), 0.2) * weight), None), proposal
    )[1]
    gradient = ops.convert_to_numpy(gradient)[0]
    assert gradient[2] == 0
    if length == 0.1:
        np.testing.assert_allclose(gradient[:2], [2, 4])


def test_the_mask_at_centre_border_and_a_pixel_outside():
    places = ops.convert_to_tensor([50.0, 30.0, 29.0, 70.0])
    found = ops.convert_to_numpy(boxcar(places, 50.0, 20.0, 10.0))
    np.testing.assert_allclose(found, [1, 0.5, 4.5397868e-05, 0.5], rtol=1e-4)


@pytest.mark.parametrize(("sharpness", "units"), [(None, "pixels"), (2, "pixels"), (4, "boxes")])
@pytest.mark.parametrize("antialias", [False, True])
def test_zooms_and_their_gradients_in_numpy(images, sharpness, units, antialias):
    """Central differences of the equations, in 64 bits, for centre and half sides."""
    layer = AttentionZoom((4, 5), sharpness, sharpness_units=units, antialias=antialias)
    arguments = ((4, 5), sharpness, units == "boxes", antialias)
    box = np.array([0.13, -0.21, 0.47, 0.61])
    weight = np.random.default_rng(1).normal(size=(4, 5, C))
    given = ops.convert_to_tensor(box[None], "float32")
    crop = ops.convert_to_numpy(layer(images[:1], given))[0]
    np.testing.assert_allclose(crop, by_numpy(images[0], box, *arguments), atol=1e-5)

    def value(boxes):
        crops = layer(images[:1], boxes)
        return ops.sum(crops[0] * ops.convert_to_tensor(weight, crops.dtype)), None

    gradient = ops.convert_to_numpy(value_and_gradient(value, given)[1])[0]
    assert np.abs(gradient).min() > 0.05
    for number, step in enumerate(1e-6 * np.eye(4)):
        there, back = (
            (by_numpy(images[0], box + sign * step, *arguments) * weight).sum() for sign in (1, -1)
        )
        assert gradient[number] == pytest.approx((there - back) / 2e-6, rel=1e-3, abs=1e-3)


def test_the_images_gradient_is_none_outside_the_box(images):
    layer = AttentionZoom(4, antialias=False)
    box = np.array([[0.0, 0.0, 3 / H, 3 / W]], "float32")
    gradient = value_and_gradient(
        lambda x: (ops.sum(layer(x, box)), None), ops.convert_to_tensor(images[:1])
    )[1]
    gradient = ops.convert_to_numpy(gradient)[0, :, :, 0]
    assert gradient[3:8, 4:9].any()
    gradient[2:9, 3:10] = 0  # the box, and the pixel beside it that a hat reaches
    assert not gradient.any()


def test_the_whole_image_is_a_plain_resize(images):
    whole = np.tile([[0, 0, 1, 1]], (2, 1)).astype("float32")
    same = AttentionZoom((H, W))(images, whole)
    np.testing.assert_allclose(ops.convert_to_numpy(same), images, atol=1e-5)
    zoomed = ops.convert_to_numpy(AttentionZoom((22, 26))(images, whole))
    resized = ops.convert_to_numpy(ops.image.resize(images, (22, 26)))
    np.testing.assert_allclose(zoomed[:, 1:-1, 1:-1], resized[:, 1:-1, 1:-1], atol=1e-5)


def test_channels_first_and_crops_are_the_same(images):
    boxes = np.array([[0.1, -0.2, 0.5, 0.4], [-0.3, 0.2, 0.6, 0.3]], "float32")
    last = ops.convert_to_numpy(AttentionZoom(4, 3.0)(images, boxes))
    first = AttentionZoom(4, 3.0, data_format="channels_first")
    turned = ops.convert_to_numpy(first(images.transpose(0, 3, 1, 2), boxes))
    np.testing.assert_allclose(turned.transpose(0, 2, 3, 1), last, atol=1e-5)
    plain = AttentionZoom(4)(images, boxes)
    crop = BoxCrop2D(4, antialias=True, units="normalized")(images, boxes)
    np.testing.assert_array_equal(ops.convert_to_numpy(plain), ops.convert_to_numpy(crop))


def test_boxes_without_extent_give_numbers(images):
    boxes = np.array([[0, 0, 0, 0.5], [0.2, 0.1, -0.3, 0.5]], "float32")
    for units in ("pixels", "boxes"):
        zoomed = AttentionZoom(3, 10.0, sharpness_units=units)(images, boxes)
        assert np.isfinite(ops.convert_to_numpy(zoomed)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: AttentionProposal(0), "`units` must be a positive integer. Received: units=0"),
        (lambda x: AttentionProposal(pool_size=0), "`pool_size` must be a positive integer"),
        (lambda x: AttentionProposal(min_half=0), "`min_half` must be above 0 .* min_half=0"),
        (lambda x: AttentionProposal(min_half=0.6), "`min_half` must be above 0 and at most 0.5"),
        (lambda x: AttentionProposal(2)(x[:, :1]), "h and w are known .* pool_size=2"),
        (lambda x: AttentionProposal(2)(keras.Input((None, 5, 3))), "h and w are known"),
        (lambda x: AttentionZoom(0), "`size` must be a positive integer. Received: size=0"),
        (lambda x: AttentionZoom(2, 0.0), "`sharpness` must be None or positive. .*=0.0"),
        (lambda x: AttentionZoom(2, sharpness_units="feet"), "`sharpness_units` must be one of"),
        (lambda x: AttentionZoom(2, min_half=0), "`min_half` must be positive"),
        (lambda x: AttentionZoom(2)(x, x[:, 0, :3, 0]), r"`boxes` must be \(B, 4\)"),
        (lambda x: AttentionZoom(2)(x, x[:, :, :4, 0]), r"`boxes` must be \(B, 4\)"),
        (lambda x: AttentionZoom(2)(x[0], x[:, 0, :4, 0]), "`images` must have four axes"),
    ],
)
def test_wrong_arguments(images, call, message):
    with pytest.raises(ValueError, match=message):
        call(images)


def test_a_model_of_both_saves_and_loads(images, tmp_path):
    image = keras.Input((H, W, C))
    boxes = AttentionProposal(6, min_half=0.25, name="proposal")(image)
    zoom = AttentionZoom((4, 5), 3.0, sharpness_units="boxes", antialias=False, min_half=0.1)
    model = keras.Model(image, [boxes, zoom(image, boxes)])
    assert [y.shape for y in model.outputs] == [(None, 4), (None, 4, 5, C)]
    model.get_layer("proposal").trainable = False
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].get_config() == zoom.get_config()
    assert not loaded.trainable_weights
    for got, expected in zip(loaded(images), model(images), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(got), ops.convert_to_numpy(expected))


@pytest.mark.parametrize("dtype", ["mixed_float16", "bfloat16"])
def test_boxes_are_of_32_bits_in_every_policy(features, dtype):
    wide, half = random_proposal(), AttentionProposal(4, min_half=0.2, dtype=dtype)
    half.build(features.shape)
    half.set_weights(wide.get_weights())
    boxes = half(features)
    assert keras.backend.standardize_dtype(boxes.dtype) == "float32"
    atol = 1e-6 if dtype == "mixed_float16" else 2e-2  # bfloat16 weights are rounded
    np.testing.assert_allclose(
        ops.convert_to_numpy(boxes), ops.convert_to_numpy(wide(features)), atol=atol
    )
    zoomed = AttentionZoom(3, 5.0, dtype=dtype)(features, boxes)
    assert keras.backend.standardize_dtype(zoomed.dtype) == dtype.removeprefix("mixed_")


def test_no_image_is_no_box(features):
    assert random_proposal()(features[:0]).shape == (0, 4)
