"""Weight files: all of a file into all of a network, or an error and an untouched network."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_attn.applications import CIFARResNet
from keras_attn.weights import load_weights


def network(widths=(3, 5), names=("one", "two")):
    x = image = keras.Input((None, None, 2))
    for width, name in zip(widths, names, strict=True):
        x = layers.Conv2D(width, 1, name=name)(x)
    return keras.Model(image, x)


def randomise(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) for w in model.weights])
    return model


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_round_trip(tmp_path, suffix):
    model = randomise(network())
    path = tmp_path / f"model{suffix}"
    model.save_weights(path) if suffix == ".weights.h5" else model.save(path)
    other = network()
    load_weights(other, path)
    for old, new in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_trained_models_optimizer_is_no_obstacle(tmp_path):
    model = randomise(network())
    model.compile("adam", "mse")
    model.fit(np.ones((2, 1, 1, 2)), np.ones((2, 1, 1, 5)), verbose=0)
    model.save(tmp_path / "model.keras")
    other = network()
    load_weights(other, tmp_path / "model.keras")
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize(
    "other, message",
    [
        (
            {"widths": (3, 7)},
            r"The file lacks two \[\(1, 1, 3, 7\), \(7,\)\]. The network lacks two",
        ),
        ({"names": ("one", "three")}, "The file lacks three"),
        ({"widths": (3,), "names": ("one",)}, "The network lacks two"),
        ({"widths": (3, 5, 5), "names": ("one", "two", "more")}, "The file lacks more"),
    ],
)
def test_another_networks_file_changes_nothing(tmp_path, other, message):
    randomise(network()).save_weights(tmp_path / "a.weights.h5")
    model = randomise(network(**other), seed=1)
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"holds the weights of another network.*{message}"):
        load_weights(model, tmp_path / "a.weights.h5")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_unreadable_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no weights file"):
        load_weights(network(), tmp_path / "none.weights.h5")
    (tmp_path / "a.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match="`path` must end in one of '.weights.h5', '.keras'"):
        load_weights(network(), tmp_path / "a.bin")
    for name in ("a.weights.h5", "a.keras"):
        (tmp_path / name).write_bytes(b"not what it says")
        with pytest.raises(ValueError, match="is no readable Keras weights file"):
            load_weights(network(), tmp_path / name)


def test_a_truncated_file(tmp_path):
    path = tmp_path / "a.weights.h5"
    randomise(network()).save_weights(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    model = randomise(network(), seed=1)
    before = model.get_weights()
    with pytest.raises(ValueError, match="is no readable Keras weights file"):
        load_weights(model, path)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


def test_a_deeper_networks_checkpoint_is_refused(tmp_path):
    """Keras alone would load the first blocks' convolutions without a word."""
    path = tmp_path / "deep.weights.h5"
    CIFARResNet(14).save_weights(path)
    with pytest.raises(ValueError, match="another network than 'resnet8_cifar'"):
        CIFARResNet(8, weights=path)


@pytest.mark.parametrize("kind", ["cbam", "gc", "sk"])
def test_a_whole_model_in_keras_legacy_form(tmp_path, kind):
    """Layers within layers have the same names in it more than once."""
    model = CIFARResNet(8, attention=kind)
    path = tmp_path / "model.h5"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's advice to write .keras
        model.save(path)
    other = CIFARResNet(8, attention=kind, weights=path)
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
