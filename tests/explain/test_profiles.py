"""Gates by class against NumPy, a planted channel, and labels at random."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_attn.explain import (
    Profile,
    attention_maps,
    class_profiles,
    draw_profiles,
    selectivity,
)
from keras_attn.layers import CBAM, SelectiveKernel, SqueezeExcite

HEIGHT, WIDTH, DEPTH, CLASSES = 5, 3, 7, 4


class Planted(keras.layers.Layer):
    """A gate whose channel 2 is open for images of class 3 alone: those whose mean is above 3."""

    attention_form = "channel_gate"

    def call(self, inputs, return_attention=False):
        fires = keras.ops.cast(keras.ops.mean(inputs, (1, 2, 3)) > 3, "float32")[:, None]
        gate = 0.5 + 0.4 * fires * np.eye(DEPTH, dtype="float32")[2]
        y = inputs * gate[:, None, None]
        return (y, gate) if return_attention else y


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((HEIGHT, WIDTH, DEPTH))
    x = SqueezeExcite(ratio=1, name="se")(inputs)
    x = CBAM(ratio=1, name="cbam")(x)
    x = SelectiveKernel(11, name="sk")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x), name="net")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = rng.permutation([0] * 13 + [1] * 1 + [3] * 17)
    return rng.normal(labels[:, None, None, None], 1, (31, HEIGHT, WIDTH, DEPTH)), labels


def test_profiles_equal_numpy_however_they_are_batched(model, data):
    images, labels = data
    maps = attention_maps(model, images)
    gates = {
        "se": maps["se"][:, 0, 0],
        "cbam": maps["cbam"].mean(axis=(1, 2)),
        "sk": maps["sk"].reshape(31, -1),
    }
    cut = [(images[:11], labels[:11]), (images[11:12], labels[11:12]), (images[12:], labels[12:])]
    for given in (data, iter(cut)):
        profiles = class_profiles(model, given, batch_size=8)
        assert list(profiles) == list(gates)
        for name, profile in profiles.items():
            np.testing.assert_array_equal(profile.count, [13, 1, 0, 17])
            for each in (0, 1, 3):
                of_class = gates[name][labels == each].astype("float64")
                np.testing.assert_allclose(profile.mean[each], of_class.mean(0), atol=1e-6)
                np.testing.assert_allclose(profile.std[each], of_class.std(0), atol=1e-6)
            assert not profile.std[1].any() and not profile.std[2].any()


def test_a_planted_channel_is_found(data):
    images, labels = data
    inputs = keras.Input((HEIGHT, WIDTH, DEPTH))
    flat = keras.layers.GlobalAveragePooling2D()(Planted(name="planted")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(flat))
    images = (
        images
        - images.mean((1, 2, 3), keepdims=True)
        + np.where(labels == 3, 4, 0)[:, None, None, None]
    )
    profiles = class_profiles(model, (images, labels))
    mean = profiles["planted"].mean
    np.testing.assert_allclose(mean[3], 0.5 + 0.4 * (np.arange(DEPTH) == 2), rtol=1e-6)
    np.testing.assert_allclose(mean[[0, 1]], 0.5)
    assert selectivity(profiles) == {"planted": np.inf}


def test_selectivity_by_hand_and_at_chance():
    profile = Profile(np.array([[0.0], [1.0]]), np.array([[0.5], [0.5]]), np.array([9, 9]))
    assert selectivity({"se": profile}) == {"se": 1.0}
    flat = Profile(np.full((2, 3), 0.5), np.zeros((2, 3)), np.array([9, 9]))
    assert selectivity({"se": flat}) == {"se": 0.0}
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2, 2, 32))
    x = keras.layers.GlobalAveragePooling2D()(SqueezeExcite(ratio=1, name="se")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(x))
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.repeat(np.arange(CLASSES), 50))
    images = rng.normal(size=(CLASSES, 1, 1, 32))[labels] + rng.normal(size=(200, 2, 2, 32))
    found = selectivity(class_profiles(model, (images, labels)))["se"]
    permuted = selectivity(class_profiles(model, (images, rng.permutation(labels))))["se"]
    chance = (CLASSES - 1) / CLASSES / 50  # of means of 50 independent images each
    assert permuted == pytest.approx(chance, rel=0.6) and found > 20 * permuted


def test_the_figure(model, data, tmp_path):
    profiles = class_profiles(model, data)
    path = draw_profiles(profiles, tmp_path / "gates.png", classes=[0, 3], class_names="abcd")
    with Image.open(path) as picture:
        assert picture.format == "PNG" and picture.width > 1000
        assert len(picture.getcolors(10**6)) > 20
    with pytest.raises(ValueError, match=r"`classes` must be .*\[0, 1, 3\]. Received: classes"):
        draw_profiles(profiles, tmp_path / "none.png", classes=[2])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": ["nowhere"]}, "`layers` must be names of layers with gates, se, cbam, sk"),
        ({"data": (np.zeros((0, 5, 3, 7)), np.zeros(0, int))}, "`data` must have an image"),
        ({"data": (np.zeros((2, 5, 3, 7)), [0])}, "`data` must have a label for each image"),
        ({"data": (np.zeros((1, 5, 3, 7)), [4])}, "labels from 0 to 3. Received: a label 4"),
        ({"data": (np.zeros((1, 5, 3, 7)), [0.5])}, "must have integers"),
    ],
)
def test_wrong_data(model, data, arguments, message):
    with pytest.raises(ValueError, match=message):
        class_profiles(model, **{"data": data, **arguments})
