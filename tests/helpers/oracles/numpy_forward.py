"""NumPy's side of the parity tests: the ops that the papers' formulas name, in float64."""

from __future__ import annotations

import numpy as np


def random_weights(layer, shape, seed=1):
    """Builds a float64 layer with every weight random, and gives the weights by their names."""
    layer.build(shape)
    rng = np.random.default_rng(seed)
    layer.set_weights(
        [
            rng.uniform(0.5, 1.5, w.shape)
            if w.path.endswith(("gamma", "moving_variance"))
            else rng.normal(0, 0.5, w.shape)
            for w in layer.weights
        ]
    )
    return weights_of(layer)


def weights_of(layer):
    """The weights by their paths below the layer: `reduce/kernel`."""
    return {w.path.split("/", 1)[1]: np.asarray(w) for w in layer.weights}


def random_images(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def softmax(x, axis=-1):
    weight = np.exp(x - x.max(axis, keepdims=True))
    return weight / weight.sum(axis, keepdims=True)


def dense(x, weights, name):
    """x W + b of the part `name`; b where it has one."""
    y = x @ weights[f"{name}/kernel"]
    return y + weights.get(f"{name}/bias", 0)


def batch_norm(x, weights, name, epsilon=1e-5):
    """Inference of the normalization `name`, over the last axis."""
    gamma, beta, mean, variance = (
        weights[f"{name}/{each}"] for each in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def conv2d(x, weights, name, strides=1, dilation=1, groups=1):
    """The convolution `name` with as many zeros on either side, (B, H, W, C)."""
    kernel = weights[f"{name}/kernel"]
    outputs = []
    for x_g, k_g in zip(np.split(x, groups, axis=3), np.split(kernel, groups, axis=3), strict=True):
        outputs.append(sum(p @ k for p, k in _taps(x_g, k_g, strides, dilation)))
    return np.concatenate(outputs, axis=3) + weights.get(f"{name}/bias", 0)


def depthwise_conv2d(x, weights, name, strides=1):
    kernel = weights[f"{name}/kernel"]  # (k, k, C, 1)
    return sum(p * k[:, 0] for p, k in _taps(x, kernel, strides, 1))


def _taps(x, kernel, strides, dilation):
    """For each place of the kernel, what it sees and its weights."""
    size = kernel.shape[0]
    pad = dilation * (size - 1) // 2
    _, height, width, _ = x.shape
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    for i in range(size):
        for j in range(size):
            top, left = i * dilation, j * dilation
            seen = x[:, top : top + height : strides, left : left + width : strides]
            yield seen, kernel[i, j]
