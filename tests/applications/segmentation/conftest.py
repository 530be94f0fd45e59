"""Backbones of a convolution, and images whose brightness is the class."""

from __future__ import annotations

import keras
import numpy as np
import pytest

CLASSES = 3


@pytest.fixture
def backbone():
    """Half the image's sides, 8 channels."""
    image = keras.Input((None, None, 2))
    conv = keras.layers.Conv2D(8, 3, 2, padding="same", activation="elu", name="backbone_conv")
    return keras.Model(image, conv(image), name="small")


@pytest.fixture(scope="session")
def bright():
    """Images (12, 12, 16, 2) and masks of three bands of brightness, 4 pixels wide or more."""
    rng = np.random.default_rng(0)
    masks = np.repeat(np.repeat(rng.integers(0, CLASSES, (12, 3, 4)), 4, axis=1), 4, axis=2)
    images = masks[..., None] + rng.uniform(-0.3, 0.3, (12, 12, 16, 2))
    return images.astype("float32"), masks.astype("uint8")


@pytest.fixture(scope="session")
def randomized():
    """Sets every weight at random, so that no zero hides a mistake."""

    def set_all(model, seed=1):
        rng = np.random.default_rng(seed)
        model.set_weights(
            [
                rng.uniform(0.5, 1.5, w.shape)
                if w.path.endswith(("gamma", "moving_variance"))
                else rng.normal(0, 0.4, w.shape)
                for w in model.weights
            ]
        )
        return model

    return set_all
