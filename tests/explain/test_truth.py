"""Curves, the pointing game and the sanity check, on networks whose answer is known."""

import keras
import numpy as np
import pytest

from keras_attn.explain import heat_maps
from keras_attn.explain.truth import (
    cascading_randomisation,
    deletion_curve,
    pointing_game,
    rank_correlation,
    ssim,
)


@pytest.fixture
def summing():
    """Its probability of class 1 grows with the pixel (1, 2) alone."""
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, x)
    kernel = np.zeros((16, 2), "float32")
    kernel[6, 1] = 1
    model.set_weights([kernel, np.zeros(2, "float32")])
    return model


def test_curves_by_hand(summing):
    image = np.zeros((1, 4, 4, 1), "float32")
    image[0, 1, 2] = 16
    heat = np.zeros((1, 4, 4))
    heat[0, 1, 2] = 1
    with_it, without = 1 / (1 + np.exp(-16)), 1 / (1 + np.exp(-1))  # the mean is 1
    curve = deletion_curve(summing, image, heat, np.array([1]))
    np.testing.assert_allclose(curve, [[with_it] + 16 * [without]], rtol=1e-5)
    curve = deletion_curve(summing, image, heat, np.array([1]), kind="insertion", steps=4)
    np.testing.assert_allclose(curve, [[without] + 4 * [with_it]], rtol=1e-5)
    curve = deletion_curve(summing, image, -heat, np.array([1]), steps=4)
    np.testing.assert_allclose(curve, [4 * [with_it] + [without]], rtol=1e-5)
    with pytest.raises(ValueError, match="`kind` must be"):
        deletion_curve(summing, image, heat, np.array([1]), kind="both")
    with pytest.raises(ValueError, match="`heat` and `classes` must be of 1 images"):
        deletion_curve(summing, image, heat, np.array([1, 2]))


def test_pointing_game_by_hand():
    heat, objects = np.zeros((3, 4, 4)), np.zeros((3, 4, 4), bool)
    objects[:, 1:3, 2:] = True
    heat[0, 1, 2] = heat[1, 0, 0] = 1
    np.testing.assert_array_equal(pointing_game(heat, objects), [True, False, False])
    with pytest.raises(ValueError, match="`objects` must be .B, H, W. of 3 images"):
        pointing_game(heat, objects[:2])


def test_likeness_by_hand():
    first = np.array([[[1.0, 2.0], [3.0, 3.0]]])
    assert rank_correlation(first, 10 * first) == pytest.approx(1)
    assert rank_correlation(first, -first) == pytest.approx(-1)
    assert rank_correlation(first, np.ones((1, 2, 2))) == 0
    # Ranks 0, 1, 2.5, 2.5 and 1, 0, 2, 3, of means 1.5.
    second = np.array([[[2.0, 1.0], [3.0, 4.0]]])
    assert rank_correlation(first, second) == pytest.approx(3.5 / np.sqrt(4.5 * 5))
    assert ssim(first, 5 * first + 1) == pytest.approx(1)
    assert ssim(first, -first) < 0


def test_what_does_not_depend_on_weights_fails_the_sanity_check(summing):
    image = np.random.default_rng(0).normal(size=(1, 4, 4, 1)).astype("float32")
    before = summing.get_weights()
    (edges,) = cascading_randomisation(summing, lambda _: np.abs(image[..., 0]))
    assert edges.rank_correlation == pytest.approx(1) and edges.ssim == pytest.approx(1)

    def shares(model):
        return heat_maps(model, image, "integrated_gradients", target=1, baseline=9.0).heat

    (changed,) = cascading_randomisation(summing, shares)
    assert changed.layer == summing.layers[-1].name and changed.rank_correlation < 0.5
    for old, new in zip(before, summing.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(ValueError, match="`model` must have weights"):
        cascading_randomisation(keras.Sequential([keras.Input((4, 4, 1))]), shares)
