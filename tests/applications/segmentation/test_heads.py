"""The heads' graphs in NumPy; they train on masks, are saved, take any size; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from helpers.oracles.dense import conv, resized, softmax
from keras_attn.applications import FCN, DANet, DeepLabV3, ResizeBy, ResizeLike
from keras_attn.layers import ChannelAttention, PositionAttention

HEADS = {
    "fcn": lambda backbone, **options: FCN(backbone, 3, filters=6, **options),
    "deeplab": lambda backbone, **options: DeepLabV3(
        backbone, 3, rates=(1, 2), filters=6, **options
    ),
    "danet": lambda backbone, **options: DANet(backbone, 3, filters=4, ratio=2, **options),
}
each_head = pytest.mark.parametrize("head", HEADS)


def to_numpy(x):
    return ops.convert_to_numpy(x)


def step(model, x, name, dilation=1):
    """Convolution, BatchNormalization, ReLU."""
    [kernel] = model.get_layer(f"{name}_conv").get_weights()
    gamma, beta, mean, variance = model.get_layer(f"{name}_bn").get_weights()
    y = conv(x, kernel, dilation=dilation)
    return np.maximum(gamma * (y - mean) / np.sqrt(variance + 1e-5) + beta, 0)


def predicted(model, x, size):
    kernel, bias = model.get_layer("scores").get_weights()
    return softmax(resized(x @ kernel[0, 0] + bias, size))


def of_fcn(model, features):
    return step(model, features, "head")


def of_deeplab(model, features):
    mean = step(model, features.mean(axis=(1, 2), keepdims=True), "aspp_pool")
    branches = [
        step(model, features, "aspp_1x1"),
        step(model, features, "aspp_rate1", 1),
        step(model, features, "aspp_rate2", 2),
        np.broadcast_to(mean, (*features.shape[:3], mean.shape[-1])),
    ]
    return step(model, np.concatenate(branches, axis=-1), "head")


def of_danet(model, features):
    total = 0.0
    for branch in ("position", "channel"):
        x = step(model, features, f"{branch}_before").astype("float32")
        attended = to_numpy(model.get_layer(f"{branch}_attention")(x))
        total = total + step(model, attended, f"{branch}_behind")
    return total


@each_head
def test_the_graph_in_numpy(head, backbone, bright, randomized):
    model, images = randomized(HEADS[head](backbone)), bright[0][:2]
    features = to_numpy(backbone(images)).astype("float64")
    x = {"fcn": of_fcn, "deeplab": of_deeplab, "danet": of_danet}[head](model, features)
    expected = predicted(model, x, (12, 16))
    np.testing.assert_allclose(to_numpy(model(images)), expected, atol=1e-4)
    logits = HEADS[head](backbone, classifier_activation=None)
    logits.set_weights(model.get_weights())
    np.testing.assert_allclose(softmax(to_numpy(logits(images))), expected, atol=1e-4)


def test_danets_attentions(backbone):
    model = DANet(backbone, 3, filters=16)
    assert isinstance(model.get_layer("position_attention"), PositionAttention)
    assert isinstance(model.get_layer("channel_attention"), ChannelAttention)
    assert model.get_layer("position_attention").query.units == 2


def iou_of(masks, classes):
    """The mean over the classes of what two masks share of what either has."""
    shares = [
        ((masks == c) & (classes == c)).sum() / ((masks == c) | (classes == c)).sum()
        for c in range(3)
    ]
    return np.mean(shares)


# Keras's MeanIoU asks JAX for 64 bits.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
@pytest.mark.parametrize(
    "head", ["fcn", *(pytest.param(x, marks=pytest.mark.slow) for x in ("deeplab", "danet"))]
)
def test_it_trains_on_masks(head, backbone, bright, no_xla):
    images, masks = bright
    model = HEADS[head](backbone, dropout=0.0, classifier_activation=None)
    metric = keras.metrics.MeanIoU(3, sparse_y_pred=False, name="iou")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.03), loss, metrics=[metric])
    model.fit(np.tile(images, (30, 1, 1, 1)), np.tile(masks, (30, 1, 1)), batch_size=12, verbose=0)
    found = model.evaluate(images, masks, verbose=0, return_dict=True)
    classes = to_numpy(model(images)).argmax(-1)
    assert found["iou"] == pytest.approx(iou_of(masks, classes), abs=1e-5) and found["iou"] > 0.5


@each_head
def test_it_is_saved_and_shares_the_backbone(head, backbone, bright, tmp_path, randomized):
    model = randomized(HEADS[head](backbone))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = bright[0][:2]
    np.testing.assert_allclose(to_numpy(loaded(x)), to_numpy(model(x)), atol=1e-6)
    assert model.get_layer("backbone_conv") is backbone.get_layer("backbone_conv")


@each_head
def test_any_size(head, backbone):
    model = HEADS[head](backbone)
    for size in ((8, 6), (13, 9)):
        y = to_numpy(model(np.ones((2, *size, 2), "float32")))
        assert y.shape == (2, *size, 3)
        np.testing.assert_allclose(y.sum(axis=-1), 1, atol=1e-5)


def test_the_last_of_several_levels():
    image = keras.Input((16, 16, 2))
    fine = keras.layers.Conv2D(4, 3, 2, padding="same")(image)
    coarse = keras.layers.Conv2D(6, 3, 2, padding="same")(fine)
    model = FCN(keras.Model(image, {"P1": fine, "P2": coarse}), 3, filters=5)
    assert model.get_layer("head_conv").kernel.shape == (3, 3, 6, 5)
    assert model.get_layer("scores").output.shape == (None, 4, 4, 3)


@each_head
def test_mixed_precision_ends_in_float32(head, bright):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        image = keras.Input((None, None, 2))
        model = HEADS[head](keras.Model(image, keras.layers.Conv2D(8, 3, 2)(image)))
        y = model(bright[0][:2])
    finally:
        keras.config.set_dtype_policy(policy)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_allclose(to_numpy(y).sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 0.75, 2.0])
def test_resizing_in_numpy(scale):
    x = np.random.default_rng(0).normal(size=(2, 7, 10, 3)).astype("float32")
    size = tuple(max(1, int(scale * side + 0.5)) for side in (7, 10))
    found = ResizeBy(scale)(x)
    np.testing.assert_allclose(to_numpy(found), resized(x, size), atol=1e-5)
    np.testing.assert_allclose(to_numpy(ResizeLike()(x, found)), resized(x, size), atol=1e-5)
    assert ResizeBy(scale).compute_output_shape((None, 7, None, 3)) == (None, size[0], None, 3)
    assert ResizeBy(0.1)(x[:, :1, :1]).shape == (2, 1, 1, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda b: FCN(b, 1), "`classes` must be an integer of at least 2. Received: classes=1"),
        (lambda b: FCN(b, 3, filters=0), "`filters` must be a positive integer"),
        (lambda b: DeepLabV3(b, 3, rates=()), "`rates` must be a sequence of dilations"),
        (lambda b: DeepLabV3(b, 3, rates=(0,)), "`rates` must be a positive integer"),
        (lambda b: DANet(b, 3, filters=4), "ratio=8"),
        (lambda b: FCN(keras.Sequential(), 3), "`backbone` must be a functional or a built"),
        (
            lambda b: FCN(keras.Sequential([b, keras.layers.GlobalAveragePooling2D()]), 3),
            "`backbone` must give features .* include_top=False",
        ),
        (
            lambda b: FCN(keras.Model(b.input, [b.output] * 2), 3),
            "or a dict of levels. .* 2 outputs",
        ),
        (lambda b: ResizeBy(0), "`scale` must be positive. Received: scale=0"),
    ],
)
def test_wrong_arguments(backbone, make, message):
    with pytest.raises(ValueError, match=message):
        make(backbone)
