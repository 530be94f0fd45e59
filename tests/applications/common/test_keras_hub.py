"""KerasHub's detector on our networks: no line between them."""

from __future__ import annotations

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_attn.applications import AAResNet34, ResNet18, SEResNet18, detector_of
from keras_attn.classifiers.kinds import find_source
from keras_attn.classifiers.networks import open_network
from keras_attn.export import export_saved_model

pytestmark = [
    pytest.mark.keras_hub,
    # Of KerasHub's own training step, and of its models when they are loaded.
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning"),
    pytest.mark.filterwarnings("ignore:`compile..` was not called as part of model:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]
SIDE = 64
SHAPE = (SIDE, SIDE, 3)


def detector(encoder: keras.Model) -> keras.Model:
    import keras_hub

    backbone = keras_hub.models.RetinaNetBackbone(
        image_encoder=encoder,
        min_level=3,
        max_level=5,
        use_p5=False,
        image_shape=(SIDE, SIDE, 3),
    )
    anchors = keras_hub.layers.AnchorGenerator(
        bounding_box_format="xyxy",
        min_level=3,
        max_level=5,
        num_scales=1,
        aspect_ratios=[1.0],
        anchor_size=4.0,
    )
    return keras_hub.models.RetinaNetObjectDetector(
        backbone=backbone,
        num_classes=3,
        anchor_generator=anchors,
        pre_logits_num_conv_layers=1,
        bounding_box_format="xyxy",
    )


@pytest.mark.parametrize("network", [ResNet18, SEResNet18, AAResNet34])
def test_a_detector_trains_and_is_saved(network, tmp_path):
    model = detector(network(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3)))
    model.compile(
        optimizer=keras.optimizers.SGD(1e-4),
        box_loss=keras.losses.Huber(reduction="sum"),
        classification_loss=keras.losses.BinaryFocalCrossentropy(reduction="sum", from_logits=True),
        jit_compile=False,
    )
    images = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype("float32") / 255
    objects = {
        "boxes": np.array([[[5, 5, 30, 40]], [[20, 24, 60, 50]]], "float32"),
        "labels": np.array([[0], [2]], "int32"),
    }
    losses = model.fit(images, objects, batch_size=2, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    found = model(images)
    model.save(tmp_path / "detector.keras")
    again = keras.models.load_model(tmp_path / "detector.keras")
    assert list(again.backbone.image_encoder.pyramid_outputs) == ["P2", "P3", "P4", "P5"]
    for name, value in again(images).items():
        np.testing.assert_array_equal(value, found[name])


def test_a_batch_without_an_object_teaches_nothing():
    model = detector(ResNet18(include_top=False, weights=None, input_shape=SHAPE))
    model.compile(
        optimizer=keras.optimizers.SGD(1e-2),
        box_loss=keras.losses.Huber(reduction="sum"),
        classification_loss=keras.losses.BinaryFocalCrossentropy(reduction="sum", from_logits=True),
        jit_compile=False,
    )
    before = [weight.numpy() for weight in model.trainable_weights]
    objects = {"boxes": np.full((2, 3, 4), -1, "float32"), "labels": np.full((2, 3), -1, "int32")}
    images = np.random.default_rng(0).random((2, *SHAPE), "float32")
    assert model.fit(images, objects, batch_size=2, verbose=0).history["loss"] == [0.0]
    for weight, value in zip(model.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def trained_a_little(network=ResNet18):
    """A detector whose boxes differ enough that some are told."""
    model = detector(network(include_top=False, include_preprocessing=True, input_shape=SHAPE))
    rng = np.random.default_rng(0)
    for head, bias, scale in (
        (model.box_head, 0.0, 1e-4),
        (model.classification_head, -0.5, 5e-4),
    ):
        kernel = head.prediction_layer.kernel
        kernel.assign(rng.normal(0, scale, kernel.shape))
        head.prediction_layer.bias.assign(np.full(head.prediction_layer.bias.shape, bias))
    return model


def test_the_boxes_are_those_of_its_own_predict(tmp_path):
    model = trained_a_little()
    images = np.random.default_rng(1).integers(0, 256, (2, *SHAPE)).astype("float32")
    expected = model.predict(images, verbose=0)
    assert (expected["num_detections"] > 1).all()
    made = detector_of(model, class_names=["disk", "square", "triangle"])
    made.save(tmp_path / "detector.keras")
    for each in (made, keras.models.load_model(tmp_path / "detector.keras")):
        for row, found in enumerate(each.detect(images)):
            count = expected["num_detections"][row]
            assert len(found["boxes"]) == count
            low, sides = found["boxes"][:, :2], found["boxes"][:, 2:]
            corners = np.concatenate([low, low + sides], axis=1)
            np.testing.assert_allclose(corners, expected["boxes"][row, :count], atol=1e-3)
            np.testing.assert_allclose(
                found["scores"], expected["confidence"][row, :count], rtol=1e-4
            )
            np.testing.assert_array_equal(found["classes"], expected["labels"][row, :count])


def test_it_is_exported_as_it_was_saved(tmp_path):
    """By way of a file, as the command line does it."""
    model = trained_a_little()
    model.save(tmp_path / "detector.keras")
    network = open_network(find_source(tmp_path / "detector.keras"))
    assert network.class_names == ("0", "1", "2") and network.preprocessing.size == (SIDE, SIDE)
    folder = export_saved_model(
        network.model, tmp_path / "shapes", preprocessing=network.preprocessing
    )
    pixels = np.random.default_rng(1).integers(0, 256, SHAPE).astype("uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    serve = tf.saved_model.load(folder).signatures["serve_bytes"]
    answer = serve(image_bytes=tf.constant([file.getvalue()]))
    [found] = detector_of(model).detect(pixels[None].astype("float32"))
    count = len(found["boxes"])
    assert count and (answer["classes"].numpy()[0, count:] == -1).all()
    np.testing.assert_array_equal(answer["classes"][0, :count], found["classes"])
    low = np.clip(found["boxes"][:, :2], 0, SIDE)
    high = np.clip(found["boxes"][:, :2] + found["boxes"][:, 2:], 0, SIDE)
    boxes = np.concatenate([low, high - low], axis=1)
    np.testing.assert_allclose(answer["boxes"][0, :count], boxes, atol=1e-2)


def test_what_is_no_detector_of_keras_hub():
    with pytest.raises(ValueError, match="`model` must be a RetinaNetObjectDetector of KerasHub"):
        detector_of(ResNet18(include_top=False))
    model = detector(ResNet18(include_top=False, input_shape=SHAPE))
    with pytest.raises(ValueError, match=r"`input_shape` must be .*\(32, 32, 3\), model of \(64"):
        detector_of(model, input_shape=(32, 32, 3))
