"""One network, kept in every form, gives one image the same probabilities."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_attn.classifiers import networks, open_classifier
from keras_attn.classifiers.evaluation import evaluate_classifier
from keras_attn.classifiers.kinds import Source
from keras_attn.classifiers.run_record import RunRecord
from keras_attn.data import ImageDataset, load_dataset
from keras_attn.export import export_onnx, export_saved_model, export_tflite
from keras_attn.images import Preprocessing
from keras_attn.layers import SqueezeExcite
from keras_attn.training import evaluate, train

FORMS = ("run", "run/model.keras", "served", "served/1", "net.onnx", "net.tflite")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes of noise around a colour, as files of several sizes."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for label, name in enumerate(("blue", "green", "red")):
        (root / name).mkdir()
        for i in range(6):
            pixels = rng.normal(90, 40, (20 + 3 * i, 30 - i, 3))
            pixels[..., 2 - label] += 60
            image = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
            image.save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def forms(photos, tmp_path_factory):
    """A trained network, in a folder that has all its forms."""
    folder = tmp_path_factory.mktemp("forms")
    data = load_dataset(photos, image_size=16)

    def build():
        return keras.Sequential(
            [
                keras.Input((16, 16, 3)),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
                SqueezeExcite(ratio=2),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(3, activation="softmax"),
            ]
        )

    result = train(build, data, folder / "run", epochs=4, verbose=0)
    saved_model = export_saved_model(
        result.model,
        folder / "served",
        class_names=data.class_names,
        preprocessing=data.preprocessing,
    )
    export_onnx(saved_model, folder / "net.onnx")
    export_tflite(saved_model, folder / "net.tflite")
    return folder


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.thorough
def test_the_same_probabilities_from_each_form(forms, photos, form):
    files = [photos / "red/0.png", photos / "blue/3.png"]
    classifier = open_classifier(forms / form)
    model = keras.saving.load_model(forms / "run/model.keras")
    how = Preprocessing((16, 16), crop=0.875)  # as the photographs were held out
    images = np.stack([how.read(file) for file in files]).astype("float32")
    assert classifier.class_names == ("blue", "green", "red")
    np.testing.assert_allclose(
        np.stack(list(classifier.of_files(files))), model.predict(images, verbose=0), atol=1e-5
    )


@pytest.mark.thorough
def test_a_crop_is_cut_once(forms, photos):
    """What was read from a file is not fitted again."""
    file = photos / "red/0.png"
    model = keras.saving.load_model(forms / "run/model.keras")
    how = Preprocessing((16, 16), crop=0.5)
    classifier = networks.NetworkClassifier(model, ("blue", "green", "red"), how)
    expected = model.predict(how.read(file)[None].astype("float32"), verbose=0)
    np.testing.assert_allclose(next(classifier.of_files([file]))[None], expected, atol=1e-6)
    whole = np.asarray(Image.open(file))[None]
    np.testing.assert_allclose(classifier.of_pixels(whole), expected, atol=1e-6)


@pytest.mark.parametrize("form", ["run", "served", "net.onnx"])
@pytest.mark.thorough
def test_the_same_accuracy_from_each_form(forms, photos, form):
    data = load_dataset(photos, image_size=16)
    expected = evaluate(keras.saving.load_model(forms / "run/model.keras"), data)
    measured = evaluate_classifier(open_classifier(forms / form), data)
    assert measured["accuracy"] == pytest.approx(expected["accuracy"])
    assert measured["loss"] == pytest.approx(expected["loss"], abs=1e-4)


@pytest.mark.thorough
def test_classes_are_matched_by_name(forms, photos):
    data = load_dataset(photos, image_size=16)
    images, labels = data.test.images, data.test.labels
    turned = ImageDataset.from_arrays(
        (images, 2 - labels), (images, 2 - labels), class_names=("red", "green", "blue")
    )
    classifier = open_classifier(forms / "run")
    assert evaluate_classifier(classifier, turned) == evaluate_classifier(classifier, data)


@pytest.mark.thorough
def test_other_classes_are_matched_by_their_order(forms, photos, caplog):
    data = load_dataset(photos, image_size=16)
    pair = (data.test.images, data.test.labels)
    classifier = open_classifier(forms / "run")
    named = ImageDataset.from_arrays(pair, pair, class_names=("b", "g", "r"))
    assert evaluate_classifier(classifier, named) == evaluate_classifier(classifier, data)
    assert "matched by their order" in caplog.text
    more = ImageDataset.from_arrays(
        (np.concatenate([pair[0], pair[0]]), np.concatenate([pair[1], 3 + pair[1]])), pair
    )
    with pytest.raises(ValueError, match="the classifier's 3 classes .* Received: 6 classes"):
        evaluate_classifier(classifier, more)


def test_weights_by_their_tag():
    classifier = open_classifier("cifar10")
    assert classifier.class_names[:2] == ("airplane", "automobile")
    assert classifier.preprocessing == Preprocessing((32, 32), crop=1.0)


def test_a_network_of_keras(monkeypatch):
    """Its own preprocessing stands before it. The weights are random, as no network is asked."""
    constructor = keras.applications.MobileNetV2

    def without_download(weights):
        assert weights == "imagenet"
        return constructor(weights=None, alpha=0.35)

    without_download.__module__ = constructor.__module__
    monkeypatch.setattr(keras.applications, "MobileNetV2", without_download)
    found = networks.open_network(Source("applications", "mobilenetv2"))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), "uint8")
    expected = found.model.layers[-1].predict(pixels / 127.5 - 1, verbose=0)
    np.testing.assert_allclose(found.of_pixels(pixels), expected, atol=1e-6)
    assert found.class_names[0] == "tench"


def test_a_file_that_does_not_say_what_it_takes(tmp_path):
    image = keras.Input((4, 4, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 1)(image))
    keras.Model(image, keras.layers.Softmax()(x)).save(tmp_path / "net.keras")
    found = networks.open_network(Source("keras", str(tmp_path / "net.keras")))
    assert found.class_names == ("0", "1")
    assert found.preprocessing == Preprocessing((4, 4))
    assert "pixels of 0 to 255" in found.notes[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "net.onnx.report.json").unlink(), "has no net.onnx.report.json"),
        (lambda folder: (folder / "net.onnx.report.json").write_text("{"), "is not valid JSON"),
        (lambda folder: (folder / "net.onnx.report.json").write_text("{}"), "does not say which"),
    ],
)
@pytest.mark.thorough
def test_an_export_without_its_report(forms, tmp_path, change, message):
    for name in ("net.onnx", "net.onnx.report.json"):
        (tmp_path / name).write_bytes((forms / name).read_bytes())
    change(tmp_path)
    with pytest.raises(ValueError, match=message):
        open_classifier(tmp_path / "net.onnx")


@pytest.mark.thorough
def test_what_travels_with_an_export(forms):
    report = json.loads((forms / "net.tflite.report.json").read_text())
    assert report["class_names"] == ["blue", "green", "red"]
    assert report["preprocessing"]["size"] == [16, 16]


@pytest.mark.thorough
def test_a_run_says_how_its_photographs_were_read(forms, tmp_path):
    record = json.loads((forms / "run/run.json").read_text())
    assert record["data"]["preprocessing"] == {"crop": 0.875, "interpolation": "bilinear"}
    assert open_classifier(forms / "run").preprocessing == Preprocessing((16, 16), crop=0.875)
    own = RunRecord(record, tmp_path / "run.json")
    assert own.data_options()["crop"] == 0.875 and own.data_options()["squash"] is False
    del record["data"]["preprocessing"]  # as of a version that resized whole images
    for option in ("crop", "squash", "interpolation"):
        del record["data"]["options"][option]
    earlier = RunRecord(record, tmp_path / "run.json")
    assert earlier.preprocessing() == Preprocessing((16, 16))
    assert earlier.data_options()["squash"] is True
    record["data"]["preprocessing"] = {"crop": 7}
    with pytest.raises(ValueError, match=r"run.json: `data.preprocessing` is wrong: `crop` must"):
        RunRecord(record, tmp_path / "run.json").preprocessing()
