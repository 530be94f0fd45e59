"""The sanity check: a picture of what a network has learned must change when that is taken away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from keras_attn.explain.truth.curves import resized
from keras_attn.explain.watching import layers_by_name

SIDE = 7  # of the windows of SSIM
STABLE = (0.01**2, 0.03**2)  # Wang et al., 2004, for values from 0 to 1


@dataclass(frozen=True)
class Randomised:
    """How alike heat is to that of the trained network, with layers randomised up to one.

    Attributes:
        layer: The last layer that was randomised.
        rank_correlation: Spearman's, mean over the images; 1 where nothing has changed.
        ssim: Structural similarity, mean over the images; 1 where nothing has changed.
    """

    layer: str
    rank_correlation: float
    ssim: float


def cascading_randomisation(
    model: keras.Model,
    heat_of: Callable[[keras.Model], np.ndarray],
    *,
    steps: int = 6,
    seed: int = 0,
) -> list[Randomised]:
    """Randomises layers from the output on, and compares heat (Adebayo et al., NeurIPS 2018).

    Each weight's values are permuted within it, which keeps their distribution. A method whose heat
    stays alike says nothing of what the network has learned. The model gets its weights back.

    Args:
        model: A functional or `Sequential` model.
        heat_of: Gives heat (B, h, w) of the model, such as a call of `heat_maps`, always for the
            same images and classes.
        steps: After how many equal parts of the layers heat is compared.
        seed: Seed of the permutations.

    Returns:
        After each part.

    Raises:
        ValueError: If the model has no weights.

    Example:

    >>> cascading_randomisation(model, lambda model: heat_maps(model, images, target=3).heat)
    """
    layers = [(name, each) for name, each in layers_by_name(model).items() if each.weights]
    if not layers:
        raise ValueError(f"`model` must have weights. Received: model {model.name!r}")
    before, weights = heat_of(model), model.get_weights()
    rng = np.random.default_rng(seed)
    edges = np.linspace(0, len(layers), min(steps, len(layers)) + 1).astype(int)
    found = []
    try:
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            for _, layer in layers[::-1][start:stop]:
                layer.set_weights(
                    [rng.permutation(x.ravel()).reshape(x.shape) for x in layer.get_weights()]
                )
            after = np.nan_to_num(heat_of(model))
            name = layers[::-1][stop - 1][0]
            found.append(Randomised(name, rank_correlation(before, after), ssim(before, after)))
    finally:
        model.set_weights(weights)
    return found


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation of two heats (B, h, w), mean over the images; 0 where one is flat."""
    values = []
    for a, b in zip(first, resized(second, first.shape[1:]), strict=True):
        ranks = [_ranks(each.ravel()) for each in (a, b)]
        ranks = [each - each.mean() for each in ranks]
        size = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
        values.append((ranks[0] * ranks[1]).sum() / size if size else 0.0)
    return float(np.mean(values))


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Structural similarity (Wang et al., 2004) of two heats (B, h, w), each stretched to 0..1.

    Windows are 7x7, or as large as the heat where that is smaller, and count alike.
    """
    values = []
    for a, b in zip(first, resized(second, first.shape[1:]), strict=True):
        side = (min(SIDE, a.shape[0]), min(SIDE, a.shape[1]))
        x, y = (np.lib.stride_tricks.sliding_window_view(_stretched(each), side) for each in (a, b))
        mean_x, mean_y = x.mean(axis=(2, 3)), y.mean(axis=(2, 3))
        both = (x * y).mean(axis=(2, 3)) - mean_x * mean_y
        similarity = (2 * mean_x * mean_y + STABLE[0]) * (2 * both + STABLE[1])
        similarity /= (mean_x**2 + mean_y**2 + STABLE[0]) * (
            x.var(axis=(2, 3)) + y.var(axis=(2, 3)) + STABLE[1]
        )
        values.append(similarity.mean())
    return float(np.mean(values))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0 on, those of equal values their mean."""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count + 1) / 2)[inverse])


def _stretched(heat: np.ndarray) -> np.ndarray:
    heat = np.asarray(heat, "float64")
    spread = np.ptp(heat)
    return np.asarray((heat - heat.min()) / spread if spread else np.zeros_like(heat))
