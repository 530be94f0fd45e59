"""KerasHub's detector on our networks: no line between them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_attn.applications import AAResNet34, ResNet18, SEResNet18

pytestmark = [
    pytest.mark.keras_hub,
    # Of KerasHub's own training step, and of its models when they are loaded.
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning"),
    pytest.mark.filterwarnings("ignore:`compile..` was not called as part of model:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]
SIDE = 64


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
