"""A report: its measures by hand, and the page of a small network."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
from PIL import Image

from keras_attn.classifiers.networks import NetworkClassifier
from keras_attn.data import ImageDataset
from keras_attn.images import Preprocessing
from keras_attn.layers import SqueezeExcite
from keras_attn.report import Answers, write_plots, write_report

ANSWERS = Answers(
    np.array([[0.95, 0.03, 0.02], [0.35, 0.33, 0.32], [0.1, 0.85, 0.05], [0.7, 0.2, 0.1]]),
    np.array([0, 0, 1, 1]),
    ("cat", "dog", "emu"),
)


def test_measures_by_hand():
    assert ANSWERS.accuracy == 0.75
    assert ANSWERS.confusion.tolist() == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]
    np.testing.assert_array_equal(ANSWERS.accuracy_by_class, [1, 0.5, np.nan])
    assert ANSWERS.confident_errors(5).tolist() == [3]
    assert ANSWERS.unsure_hits(2).tolist() == [1, 2]


def test_calibration_by_hand():
    confidence, right, count = ANSWERS.reliability(bins=2)
    np.testing.assert_allclose(confidence, [0.35, (0.95 + 0.85 + 0.7) / 3])
    np.testing.assert_allclose(right, [1, 2 / 3])
    assert count.tolist() == [1, 3]
    expected = 1 / 4 * 0.65 + 3 / 4 * abs(2.5 / 3 - 2 / 3)
    assert ANSWERS.calibration_error(bins=2) == pytest.approx(expected)
    sure = Answers(np.eye(3), np.arange(3), ("a", "b", "c"))
    assert sure.calibration_error() == 0
    assert sure.reliability()[2].tolist() == [0] * 14 + [3]


@pytest.fixture(scope="module")
def network():
    image = keras.Input((8, 8, 3))
    x = SqueezeExcite(1, name="gate")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3, "softmax")(x), name="net")
    return NetworkClassifier(model, ("<red>", "green", "blue"), Preprocessing((8, 8)))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    pair = rng.integers(0, 256, (30, 8, 8, 3), "uint8"), np.arange(30) % 3
    return ImageDataset.from_arrays(
        pair, pair, class_names=("<red>", "green", "blue"), name="colours"
    )


HISTORY = "epoch,accuracy,loss,val_accuracy,val_loss\n1,0.5,1,,\n2,0.6,0.9,0.5,1\n"


def test_a_page(network, data, tmp_path):
    (tmp_path / "history.csv").write_text(HISTORY)
    told = []
    answers = write_report(
        network, data, tmp_path / "page.html", folder=tmp_path, images=2, done=told.append
    )
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    expected = network.model.predict(data.test.images.astype("float32"), verbose=0)
    np.testing.assert_allclose(answers.probabilities, expected, atol=1e-6)
    assert len(told) == 30
    assert f"{100 * answers.accuracy:.2f} %" in page and "30 held-out images" in page
    assert page.count("<svg") == 5 and page.count("<figure>") == 4
    assert ">gate</text>" in page
    assert "<red>" not in page and "&lt;red&gt;" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page.replace("xlink:", ""))


def test_a_page_without_pictures_and_curves(network, data, tmp_path):
    write_report(network, data, tmp_path / "page.html", images=0)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4 and "<figure>" not in page
    with pytest.raises(ValueError, match="`images` must be an integer, 0 or more. Received"):
        write_report(network, data, tmp_path / "other.html", images=-1)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_plots_of_a_run_that_has_not_ended(network, data, tmp_path):
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "history.csv").write_text(HISTORY)
    paths = write_plots(network, data, tmp_path)
    assert list(paths) == ["curves", "accuracy_by_class", "confusion", "reliability"]
    for name, path in paths.items():
        assert path == tmp_path / "plots" / f"{name}.png"
        with Image.open(path) as picture:
            assert np.ptp(np.asarray(picture.convert("L"), int)) > 200  # something is drawn


def test_plots_without_a_history(network, data, tmp_path):
    assert "curves" not in write_plots(network, data, tmp_path)
    assert len(list((tmp_path / "plots").iterdir())) == 3
