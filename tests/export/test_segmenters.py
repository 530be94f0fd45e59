"""Networks that give classes of pixels: `serve_bytes` gives a PNG; their attention is served."""

from __future__ import annotations

import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_attn.applications import (
    FCN,
    CIFARResNet,
    DANet,
    ScaleAwareSegmentation,
    TwoDepthFCN,
)
from keras_attn.applications.inputs import find_preprocessing
from keras_attn.explain import attention_maps
from keras_attn.export import export_saved_model
from keras_attn.export.checks import comparison
from keras_attn.export.graph.attention import attention_endpoint
from keras_attn.export.graph.signatures import make_signatures
from keras_attn.images import Preprocessing
from keras_attn.layers import SqueezeExcite
from keras_attn.weights import Metadata, set_metadata

SIZE = (12, 16)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3)).astype("uint8")


def backbone(size=SIZE):
    image = keras.Input((*size, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = keras.layers.Conv2D(8, 3, 2, padding="same", activation="elu", name="conv")(x)
    return keras.Model(image, SqueezeExcite(ratio=2, name="gate_of_channels")(x))


def make(kind):
    keras.utils.set_random_seed(0)
    if kind == "danet":
        return DANet(backbone(), 3, filters=4, ratio=2)
    if kind == "two_depth":
        return TwoDepthFCN(backbone(), 3, gate_classes=(0, 1), filters=(4,))
    network = backbone((None, None))
    return ScaleAwareSegmentation(network, 3, scales=(1, 0.5), units=4, input_shape=(*SIZE, 3))


def encoded(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def test_the_whole_image_is_segmented():
    """Whatever crop the weights were measured with: a mask of the centre is none of the image."""
    network = CIFARResNet(8, include_top=False, include_preprocessing=True, input_shape=(*SIZE, 3))
    set_metadata(network, Metadata("mine", "CIFARResNet", "here", size=16, interpolation="bicubic"))
    model = FCN(network, classes=3)
    assert find_preprocessing(model) == Preprocessing(SIZE, interpolation="bicubic")
    classes = keras.layers.GlobalAveragePooling2D()(network.output)
    assert find_preprocessing(keras.Model(network.input, classes)).crop == 0.875


@pytest.mark.parametrize("kind", ["danet", "two_depth", "scales"])
def test_files_give_masks_and_attention(kind):
    model = make(kind)
    made, missing = make_signatures(model, find_preprocessing(model), ["a", "b", "c"])
    assert not missing
    files = tf.constant([encoded(pixels) for pixels in PIXELS])
    outputs = model(PIXELS.astype("float32"))
    outputs = outputs["probabilities"] if isinstance(outputs, dict) else outputs
    expected = (
        np.argmax(outputs, -1) if outputs.shape[-1] > 1 else np.asarray(outputs)[..., 0] > 0.5
    )
    assert len(np.unique(expected)) > 1
    for name in ("serve_bytes", "serve_attention"):
        answer = made[name].run(files)
        for file, mask in zip(answer["mask_bytes"].numpy(), expected, strict=True):
            with Image.open(io.BytesIO(file)) as picture:
                assert picture.format == "PNG" and picture.mode == "L"
                np.testing.assert_array_equal(np.asarray(picture), mask)
    assert set(made["serve_bytes"].run(files)) == {"mask_bytes"}
    maps = attention_maps(model, PIXELS.astype("float32"))
    layer = {"danet": "position_attention", "two_depth": "gate", "scales": "scale_attention"}[kind]
    shown = maps[layer].mean((1, 2)).reshape(2, 6, 8) if kind == "danet" else maps[layer][..., 0]
    np.testing.assert_allclose(answer[f"attention_{layer}"], shown, atol=1e-5)


@pytest.mark.thorough
def test_an_export_is_run_by_each_loader(tmp_path):
    model = make("two_depth")
    folder = export_saved_model(model, tmp_path / "net")
    report = json.loads((folder / "assets.extra" / "export_report.json").read_text())
    checks = [check for check in report["checks"] if check.get("output") == "mask_bytes"]
    assert {check["signature"] for check in checks} == {"serve_bytes", "serve_attention"}
    assert all(check["max_difference"] <= check["bound"] == 1e-3 for check in checks)
    loaded = tf.saved_model.load(folder).signatures["serve_bytes"]
    answer = loaded(image_bytes=tf.constant([encoded(PIXELS[0])]))
    with Image.open(io.BytesIO(answer["mask_bytes"].numpy()[0])) as picture:
        assert picture.size == SIZE[::-1]


@pytest.mark.parametrize(("pixels", "right"), [(0, True), (1, True), (20, False)])
def test_wrong_masks_are_found(tmp_path, monkeypatch, pixels, right):
    """Of 64 x 64 pixels four may differ, as rounding decides where two classes are as likely."""
    image = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(3, 1, activation="softmax")(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, x)
    made, _ = make_signatures(model, find_preprocessing(model), None)
    signatures = {"serve_bytes": made["serve_bytes"]}
    cases = comparison.make_cases(model, signatures, find_preprocessing(model))
    found = [dict(case.expected) for case in cases]
    with Image.open(io.BytesIO(found[0]["mask_bytes"][0])) as picture:
        mask = np.array(picture)
    mask.flat[:pixels] += 1
    found[0]["mask_bytes"] = np.array([encoded(mask), *found[0]["mask_bytes"][1:]], object)
    monkeypatch.setattr(comparison, "_check_graph", lambda folder: None)
    monkeypatch.setattr(comparison, "LOADERS", {"mine": lambda folder, feeds: found})
    if right:
        records = comparison.check_saved_model(tmp_path, cases)
        assert records[0]["max_difference"] == pytest.approx(pixels / 64**2)
    else:
        with pytest.raises(RuntimeError, match="`mask_bytes` of serve_bytes.*equal .*to 0.001"):
            comparison.check_saved_model(tmp_path, cases)


def test_more_classes_than_a_pixel_holds():
    image = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(257, 1, activation="softmax")(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, x)
    _, missing = make_signatures(model, find_preprocessing(model), None)
    assert missing["serve_bytes"] == "outputs of shape (None, 4, 4, 257) are no classes"


def test_layers_of_several_arguments_are_called_with_them():
    """Two tensors, two lists, and an argument that is no tensor."""
    model = make("two_depth")
    outputs, attention = attention_endpoint(model)(tf.constant(PIXELS, tf.float32))
    expected = model(PIXELS.astype("float32"))
    np.testing.assert_allclose(outputs["probabilities"], expected["probabilities"], atol=1e-6)
    np.testing.assert_array_equal(attention["attention_gate"], expected["gate"][..., 0])
