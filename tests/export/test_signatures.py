"""What an exported network can be asked for, against Pillow, NumPy and the network itself."""

import io
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import prediction_log_pb2

import keras_attn
from keras_attn.applications.inputs import find_preprocessing
from keras_attn.explain import attention_maps
from keras_attn.export import Preprocessing, export_saved_model
from keras_attn.export.checks import comparison as check
from keras_attn.export.checks.loaders import LOADERS
from keras_attn.export.graph.attention import attention_endpoint
from keras_attn.export.graph.signatures import make_signatures
from keras_attn.layers import attention_by_place

SIZE = (13, 17)
NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]


def network(size=SIZE, channels=3, *, pixels=True, attention=True):
    image = keras.Input((*size, channels))
    x = keras.layers.Rescaling(1 / 255)(image) if pixels else image
    x = keras.layers.Conv2D(8, 3, padding="same", name="conv")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras_attn.layers.SqueezeExcite(ratio=2, name="gate")(x) if attention else x
    if size[0] and attention:
        x = keras_attn.layers.SelfAttention2D(
            key_depth=4, value_depth=8, num_heads=2, name="looks"
        )(x)
        x = keras_attn.layers.CoordinateAttention(ratio=2, name="mask")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(len(NAMES), "softmax")(x), name="net")
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "seed" not in weight.path:
            positive = "variance" in weight.path or "gamma" in weight.path
            values = (
                rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(size=weight.shape)
            )
            weight.assign(values)
    return model


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    """A layer of a user's, which has no attention to show."""

    def call(self, x):
        return 2 * x

    def compute_output_shape(self, input_shape):
        return input_shape


def test_attention_that_can_not_be_shown_is_left_out():
    image = keras.Input((*SIZE, 3))
    x = keras_attn.layers.SelfAttention2D(
        num_heads=2, key_depth=8, value_depth=8, max_logits_bytes=4 * 221, name="large"
    )(image)
    x = keras_attn.layers.SqueezeExcite(ratio=2, name="gate")(x)
    x = keras.layers.Activation("relu", name="last")(x)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    model = keras_attn.insert_attention(model, Doubled(), where="last")
    _, found = attention_endpoint(model)(np.zeros((1, *SIZE, 3), "float32"))
    assert list(found) == ["attention_gate"]


def test_heads_of_a_layer_that_lays_its_map_out_otherwise():
    image = keras.Input((7, 5, 3))
    layer = keras_attn.layers.HaloAttention2D(
        num_heads=3, key_depth=6, value_depth=6, block_size=3, halo_size=1, name="halo"
    )
    y = keras.layers.GlobalAveragePooling2D()(layer(image))
    model = keras.Model(image, keras.layers.Dense(2)(y))
    pixels = np.random.default_rng(0).normal(size=(2, 7, 5, 3)).astype("float32")
    _, found = attention_endpoint(model)(pixels)
    _, attention = layer(pixels, return_attention=True)
    for head in range(3):
        alone = attention_by_place(layer, attention[:, head : head + 1], (2, 7, 5, 6))
        np.testing.assert_allclose(found["heads_halo"][:, head], alone, atol=1e-6)
    np.testing.assert_allclose(
        found["heads_halo"].numpy().mean(1), found["attention_halo"], atol=1e-6
    )


def test_other_channels_than_the_weights():
    model = keras_attn.applications.CIFARResNet(
        20, attention="se", weights="cifar10", input_shape=(32, 32, 1)
    )
    assert find_preprocessing(model) is None


def picture(height=29, width=23, channels=3):
    return np.random.default_rng(1).integers(0, 256, (height, width, channels)).astype("uint8")


def encoded(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, kind)
    return file.getvalue()


def signatures(folder):
    return tf.saved_model.load(str(folder)).signatures


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return export_saved_model(model, tmp_path_factory.mktemp("e") / "net", class_names=NAMES)


@pytest.fixture(scope="module")
def found(folder):
    return signatures(folder)


def test_all_four_are_there(found):
    assert sorted(found) == ["serve_attention", "serve_bytes", "serve_uint8", "serving_default"]
    spec = found["serve_bytes"].structured_input_signature[1]
    assert spec == {"image_bytes": tf.TensorSpec((None,), tf.string, "image_bytes")}
    spec = found["serve_uint8"].structured_input_signature[1]
    assert spec == {"image": tf.TensorSpec((None, None, None, 3), tf.uint8, "image")}


@pytest.mark.parametrize("shape", [SIZE, (29, 23), (7, 40)])
def test_raw_pixels_are_resized_as_pillow_does(found, model, shape):
    pixels = picture(*shape)
    resized = Image.fromarray(pixels).resize(SIZE[::-1], Image.Resampling.BILINEAR)
    expected = model.predict(np.asarray(resized, "float32")[None], verbose=0)
    actual = found["serve_uint8"](image=tf.constant(pixels[None]))
    # Pillow computes with 8 bits: a pixel in a few differs by one.
    np.testing.assert_allclose(actual["probabilities"], expected, rtol=0, atol=0.02)
    if shape == SIZE:
        np.testing.assert_allclose(actual["probabilities"], expected, rtol=0, atol=1e-5)


def test_no_image_gets_an_empty_answer(found):
    floats = found["serving_default"](image=tf.zeros((0, *SIZE, 3)))
    pixels = found["serve_uint8"](image=tf.zeros((0, 29, 23, 3), tf.uint8))
    for answer in (floats, pixels):
        assert answer["probabilities"].shape == (0, len(NAMES))
    files = found["serve_bytes"](image_bytes=tf.constant([], tf.string))
    assert files["labels"].shape == files["scores"].shape == (0, 5)


@pytest.mark.parametrize(
    "layer", [keras.layers.Conv2D(5, 3, strides=2), keras.layers.DepthwiseConv2D(3)]
)
def test_no_image_through_a_plain_convolution(layer, tmp_path):
    """TensorFlow's own gives the input's shape for no image where the batch isn't known."""
    image = keras.Input((*SIZE, 3))
    model = keras.Model(image, layer(image))
    folder = export_saved_model(model, tmp_path / "net")
    answer = signatures(folder)["serving_default"](image=tf.zeros((0, *SIZE, 3)))
    assert answer["outputs"].shape == (0, *model.output_shape[1:])


def test_files_give_labels_and_scores(found, model):
    pixels = [picture(*SIZE), picture(*SIZE)[::-1]]
    files = tf.constant([encoded(image) for image in pixels])
    answer = found["serve_bytes"](image_bytes=files)
    expected = model.predict(np.stack(pixels).astype("float32"), verbose=0)
    order = np.argsort(-expected, axis=-1)[:, :5]
    assert answer["labels"].numpy().tolist() == [[NAMES[i].encode() for i in row] for row in order]
    np.testing.assert_allclose(
        answer["scores"], np.take_along_axis(expected, order, -1), rtol=0, atol=1e-5
    )


def test_a_broken_file_is_an_error_of_the_client(found):
    with pytest.raises(tf.errors.InvalidArgumentError):
        found["serve_bytes"](image_bytes=tf.constant([b"no image"]))


def test_attention_is_that_of_the_layers(found, model):
    pixels = picture(*SIZE)
    answer = found["serve_attention"](image_bytes=tf.constant([encoded(pixels)]))
    assert set(answer) == {"labels", "scores", "image"} | {
        f"attention_{name}" for name in ("gate", "looks", "mask")
    } | {"heads_looks"}
    np.testing.assert_allclose(answer["image"][0], pixels / 255, atol=1e-6)
    maps = attention_maps(model, pixels[None].astype("float32"))
    np.testing.assert_allclose(answer["attention_gate"], maps["gate"][:, 0, 0], atol=1e-5)
    received = maps["looks"].mean((1, 2)).reshape(1, *SIZE)
    np.testing.assert_allclose(answer["attention_looks"], received, atol=1e-5)
    assert answer["attention_looks"].numpy().sum() == pytest.approx(1, abs=1e-5)
    by_head = maps["looks"].mean(2).reshape(1, 2, *SIZE)
    assert np.abs(by_head[:, 0] - by_head[:, 1]).max() > 1e-4
    np.testing.assert_allclose(answer["heads_looks"], by_head, atol=1e-5)
    assert maps["mask"].shape == (1, *SIZE, 8)  # of which the mean over the channels is shown
    np.testing.assert_allclose(answer["attention_mask"], maps["mask"].mean(-1), atol=1e-5)


@pytest.mark.thorough
def test_grey_images(tmp_path, one_loader):
    model = network(channels=1, attention=False)
    pixels = picture(*SIZE, 1)
    found = signatures(export_saved_model(model, tmp_path / "net"))
    answer = found["serve_bytes"](image_bytes=tf.constant([encoded(pixels)]))
    expected = model.predict(pixels[None].astype("float32"), verbose=0)
    assert int(answer["labels"][0, 0].numpy()) == expected.argmax()  # numbers without names
    np.testing.assert_allclose(answer["scores"][0, 0], expected.max(), atol=1e-5)


@pytest.mark.thorough
def test_preprocessing_as_the_weights_ask():
    """Short side to floor(size / crop), the centre cut out, then normalised: by Pillow."""
    model = network((16, 16), pixels=False)
    mean, std = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)
    preprocessing = Preprocessing((16, 16), crop=0.8, mean=mean, std=std)
    found, _ = make_signatures(model, preprocessing, None)
    pixels = picture(40, 30)
    whole = Image.fromarray(pixels).resize((20, 26), Image.Resampling.BILINEAR)
    cut = np.asarray(whole, "float32")[5:21, 2:18]
    expected = model.predict(((cut - mean) / std)[None], verbose=0)
    answer = found["serve_uint8"].run(tf.constant(pixels[None]))
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=0, atol=0.02)
    image = found["serve_attention"].run(tf.constant([encoded(pixels)]))["image"]
    np.testing.assert_allclose(255 * image[0], cut, rtol=0, atol=1.01)


@pytest.mark.thorough
def test_weights_say_what_they_ask_for(tmp_path, one_loader):
    """Crop, interpolation, mean and names go with them; a network that takes pixels has no mean."""
    asks = keras_attn.weights.Metadata(
        "t", "CIFARResNet", "here", size=32, crop=0.5, interpolation="bicubic",
        range=(-1.0, 1.0), mean=(0.0, 0.2, -0.2), std=(0.5, 0.5, 1.0), labels=("a", "b", "c"),
    )  # fmt: skip

    def asking(**options):
        model = keras_attn.applications.CIFARResNet(8, classes=3, **options)
        keras_attn.weights.set_metadata(model, asks)
        return model

    folder = export_saved_model(asking(), tmp_path / "net")
    assert (folder / "assets" / "labels.txt").read_text().split() == ["a", "b", "c"]
    report = json.loads((folder / "assets.extra" / "export_report.json").read_text())
    preprocessing = report["preprocessing"]
    np.testing.assert_allclose(preprocessing.pop("mean"), [127.5, 153, 102])  # of 255 (m + 1) / 2
    np.testing.assert_allclose(preprocessing.pop("std"), [63.75, 63.75, 127.5])
    assert preprocessing == {"size": [32, 32], "crop": 0.5, "interpolation": "bicubic"}
    of_pixels = find_preprocessing(asking(include_preprocessing=True))
    assert (of_pixels.mean, of_pixels.crop) == (None, 0.5)


@pytest.mark.thorough
def test_what_can_not_be_is_left_out_and_said(tmp_path, one_loader):
    def left_out(model, preprocessing=None):
        made, missing = make_signatures(model, preprocessing or find_preprocessing(model), None)
        assert set(missing).isdisjoint(made)
        return missing

    folder = export_saved_model(network(pixels=False), tmp_path / "unknown")
    report = json.loads((folder / "assets.extra" / "export_report.json").read_text())
    unknown = report["left_out"]
    assert unknown == left_out(network(pixels=False))
    assert set(unknown).isdisjoint(signatures(folder))
    assert set(unknown) == {"serve_uint8", "serve_bytes", "serve_attention"}
    assert "give `preprocessing`" in unknown["serve_bytes"]
    any_size = left_out(network((None, None)))
    assert set(any_size) == {"serve_bytes", "serve_attention"}
    sized = Preprocessing((24, 16))
    assert left_out(network((None, None)), sized) == {}
    two_channels = left_out(network(channels=2))
    assert "no grey or RGB" in two_channels["serve_uint8"]
    plain = keras.Sequential(
        [keras.Input((*SIZE, 3)), keras.layers.Rescaling(1.0), keras.layers.Flatten(),
         keras.layers.Dense(3, "softmax")]
    )  # fmt: skip
    assert list(left_out(plain)) == ["serve_attention"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (13, 18)}, r"`preprocessing.size` must be.*size=\(13, 18\)"),
        ({"mean": (1.0, 2.0)}, r"`preprocessing.mean` must have a value for each of 3"),
    ],
)
def test_preprocessing_that_does_not_fit(model, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_saved_model(model, tmp_path / "net", preprocessing=Preprocessing(**options))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (0, 3)}, r"`size` must be \(H, W\).*size=\(0, 3\)"),
        ({"crop": 0.0}, r"`crop` must be above 0.*crop=0.0"),
        ({"interpolation": "area"}, r"`interpolation` must be .*'area'"),
    ],
)
def test_wrong_preprocessing(options, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**options)


def test_the_report_has_every_check(folder, found):
    report = json.loads((folder / "assets.extra" / "export_report.json").read_text())
    assert report["batch_normalizations_folded"] == 1
    checks = report["checks"]
    for loader in LOADERS:
        mine = [check for check in checks if check["loader"] == loader]
        assert {check["signature"] for check in mine} == set(found)
        assert len({tuple(c["input_shape"]) for c in mine if c["output"] == "logits"}) > 2
    assert all(check["max_difference"] <= check["bound"] <= 1e-3 for check in checks)
    assert any(check["max_difference"] > 0 for check in checks)


@pytest.mark.thorough
def test_one_loader_that_differs_leaves_nothing(tmp_path, one_loader, monkeypatch):
    session = LOADERS["session"]

    def off_by_little(folder, runs):
        results = session(folder, runs)
        return [{k: v if v.dtype == object else v + 1e-3 for k, v in r.items()} for r in results]

    monkeypatch.setitem(LOADERS, "off", off_by_little)
    with pytest.raises(RuntimeError, match=r"`logits` of serving_default, by off, must equal"):
        export_saved_model(network(attention=False), tmp_path / "a" / "net")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("noise, limit", [(1e-6, 1e-4), (1e-3, 4e-3), (0.5, 1e-2)])
def test_what_the_network_makes_of_a_rounding_is_in_the_limit(noise, limit, monkeypatch):
    """Four times it, up to 1e-3 of the greatest value; a network over that is told so."""
    logits = np.array([[10.0]], "float32")
    feeds = {"image": np.zeros((1, 2, 2, 3), "float32")}
    monkeypatch.setattr(check, "_check_graph", lambda folder: None)

    def run(difference):
        case = check.Case(
            "serve", feeds, {"logits": logits}, {"logits": 1e-4}, lambda: {"logits": logits + noise}
        )
        off = {"off": lambda folder, runs: [{"logits": logits + difference}]}
        monkeypatch.setattr(check, "LOADERS", off)
        return check.check_saved_model("nowhere", [case])

    [record] = run(0.9 * limit)
    assert record["bound"] == pytest.approx(limit, rel=0.01)
    with pytest.raises(RuntimeError, match="must equal the model's") as error:
        run(1.1 * limit)
    assert ("moves the network's own by 0.5" in str(error.value)) == (noise == 0.5)


@pytest.mark.thorough
def test_wrong_labels_are_found(tmp_path, one_loader, monkeypatch):
    session = LOADERS["session"]

    def swapped(folder, runs):
        results = session(folder, runs)
        return [{k: v[:, ::-1] if k == "labels" else v for k, v in r.items()} for r in results]

    monkeypatch.setitem(LOADERS, "session", swapped)
    with pytest.raises(RuntimeError, match=r"`labels` of serve_bytes, by session"):
        export_saved_model(network(attention=False), tmp_path / "net")


def test_warmup_runs(folder, found):
    records = [
        prediction_log_pb2.PredictionLog.FromString(raw.numpy())
        for raw in tf.data.TFRecordDataset(
            str(folder / "assets.extra" / "tf_serving_warmup_requests")
        )
    ]
    requests = {r.predict_log.request.model_spec.signature_name: r for r in records}
    assert set(requests) == set(found)
    for name, log in requests.items():
        request = log.predict_log.request
        assert request.model_spec.name == "net"
        assert {t.tensor_shape.dim[0].size for t in request.inputs.values()} == {1}
        feeds = {key: tf.constant(tf.make_ndarray(t)) for key, t in request.inputs.items()}
        assert found[name](**feeds)


def test_the_card(folder):
    card = (folder / "assets" / "model_card.md").read_text()
    assert "| `serve_bytes` | `image_bytes` | string |" in card
    assert "13x17" in card and "upright as EXIF says" in card
    assert "ant, bee" in card


def test_the_cpp_loader_needs_no_tensorflow_package(folder, tmp_path):
    """Its program imports neither TensorFlow nor Keras, so that it is another reader."""
    from keras_attn.export.checks import cpp_loader

    probe = "import runpy, sys; runpy.run_path(sys.argv[1]); print('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", probe, cpp_loader.__file__]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
