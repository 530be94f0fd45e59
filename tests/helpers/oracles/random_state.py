"""Random weights and images that NumPy gives alike everywhere, so that no file has to hold them."""

from __future__ import annotations

import hashlib

import numpy as np

from helpers.paths import GOLDEN

# Ends of names, in PyTorch and in Keras.
VARIANCES = ("running_var", "moving_variance")
SHIFTS = ("bias", "beta", "running_mean", "moving_mean")


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of [0, 1) from the bits of PCG64, which NumPy promises not to change."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    size = int(np.prod(shape, dtype="int64"))
    bits = np.random.PCG64(seed).random_raw((size + 1) // 2).view("u4")[:size]
    return (bits / 2.0**32).astype("float32").reshape(shape)


def random_tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A weight of such a name, so scaled that a deep network's outputs stay near 1."""
    u = uniform(name, shape)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, "int64")
    if name.endswith(VARIANCES):
        return 0.5 + u
    if name.endswith(SHIFTS):
        return 0.4 * (u - 0.5)
    if len(shape) == 1:
        return 0.5 + 0.5 * u
    fan_in = np.prod(shape[:-1] if name.endswith("kernel") else shape[1:])
    return ((2 * u - 1) * np.sqrt(3 / fan_in)).astype("float32")


def random_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Random weights by name."""
    return {name: random_tensor(name, tuple(shape)) for name, shape in shapes.items()}


def random_image(height: int, width: int) -> np.ndarray:
    """(1, H, W, 3), of [-2, 2)."""
    return 4 * uniform(f"image {height} {width}", (1, height, width, 3)) - 2


def recorded(name: str) -> tuple[dict, dict]:
    """The random state of a source's network, and what it gave: {(height, width): logits}."""
    with np.load(GOLDEN / "weights" / f"{name}.npz") as file:
        shapes = [tuple(map(int, shape.split())) for shape in file["shapes"]]
        tensors = random_state(dict(zip(file["names"].tolist(), shapes, strict=True)))
        sizes = [key for key in file if key.startswith("logits:")]
        return tensors, {tuple(map(int, k[7:].split("x"))): file[k] for k in sizes}
