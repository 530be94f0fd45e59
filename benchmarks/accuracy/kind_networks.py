"""A small network with a kind of attention, the same on every backend.

    KERAS_BACKEND=jax python -m benchmarks.accuracy.kind_networks FILE KIND ...

As a program it writes what the networks' attention gives on this process's backend;
`benchmarks.accuracy.kinds` compares it with TensorFlow's.
"""

from __future__ import annotations

import sys

import keras
import numpy as np

from keras_attn.kinds import make_attention

SIDE, CHANNELS = 8, 32


def network(kind: str | None) -> keras.Model:
    """A convolution, attention, a classifier; all weights random.

    Args:
        kind: The kind of attention; `None` is none.
    """
    image, x = _stem()
    if kind is not None:
        x = make_attention(kind, CHANNELS, (SIDE, SIDE), name="attention")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return _random(keras.Model(image, keras.layers.Dense(5, "softmax")(x)))


def side_by_side(kinds: list[str]) -> keras.Model:
    """A convolution, and behind it each kind of attention with an output of its own.

    Args:
        kinds: The kinds of attention.
    """
    image, x = _stem()
    pool = keras.layers.GlobalAveragePooling2D
    outputs = {
        kind: pool()(make_attention(kind, CHANNELS, (SIDE, SIDE), name=kind)(x)) for kind in kinds
    }
    outputs["probabilities"] = keras.layers.Dense(5, "softmax")(pool()(x))
    return _random(keras.Model(image, outputs))


def _stem() -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The image, and the map that attention stands on."""
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    convolution = keras.layers.Conv2D(CHANNELS, 3, padding="same", activation="relu", name="block")
    return image, convolution(x)


def _random(model: keras.Model) -> keras.Model:
    rng = np.random.default_rng(0)
    for weight in model.weights:
        positive = weight.path.endswith(("gamma", "variance"))
        draw = rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(0, 0.3, weight.shape)
        weight.assign(draw)
    return model


def pixels() -> np.ndarray:
    """Three images."""
    return np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3)).astype("float32")


def outputs(kind: str) -> np.ndarray:
    """The map that the attention makes, on the backend of this process."""
    model = network(kind)
    inner = keras.Model(model.inputs[0], model.get_layer("attention").output)
    return np.asarray(keras.ops.convert_to_numpy(inner(pixels())))


if __name__ == "__main__":
    file, *kinds = sys.argv[1:]
    np.savez(file, **{kind: outputs(kind) for kind in kinds})  # type: ignore[arg-type]
