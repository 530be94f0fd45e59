"""Label noise, as the Residual Attention paper's robustness experiment has it."""

import numpy as np


def label_shifts(size: int, num_classes: int, rate: float, seed: int) -> np.ndarray:
    """Draws how far each label moves: `(labels + shifts) % num_classes` are the noisy labels.

    The paper describes the noise by a confusion matrix: the share r of clean labels on the
    diagonal, and the rest spread over the other classes, as we read it evenly. So a noisy label is
    never the right one by chance, and `rate` is `1 - r`. Here the share is exact:
    `round(rate * N)` of the N labels are wrong.

    Args:
        size: Number N of labels.
        num_classes: Number of classes, two at least unless `rate` is 0.
        rate: Share of wrong labels, from 0 to 1.
        seed: Seed of the choice of wrong labels, and of what they become.

    Returns:
        int64 `(N,)`: 0 where the label stays, or else 1 to `num_classes - 1`.

    Example:
        >>> shifts = label_shifts(1000, 10, 0.3, seed=0)
        >>> int((shifts > 0).sum()), int(shifts.max())
        (300, 9)
    """
    rng = np.random.default_rng([seed, 1])  # `limit` draws from [seed] alone
    shifts = np.zeros(size, "int64")
    wrong = rng.permutation(size)[: round(rate * size)]
    if len(wrong):
        shifts[wrong] = rng.integers(1, num_classes, len(wrong))
    return shifts
