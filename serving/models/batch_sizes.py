"""Warm-up at each allowed size of a batch, so that the first batch of that size is not slow.

Warm-up records are mostly of one image. Under batching the network sees batches of the allowed
sizes, and TensorFlow plans, compiles and picks kernels for a shape when it first comes.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from keras_attn.serving.errors import ServingError, invalid_argument
from keras_attn.serving.models.served_model import Run, ServedModel

MAX_NOTED = 16  # kinds of runs of one model
MAX_BYTES = 2**30  # of one run's inputs

logger = logging.getLogger(__name__)

Feeds = Mapping[str, np.ndarray]


class NotedRuns:
    """The runs of a model while it is warmed: the first of each kind, for `MAX_NOTED` kinds.

    Runs are of one kind if they differ in the size of the batch alone.
    """

    def __init__(self) -> None:
        # By the inputs' names and shapes without the batch, and the outputs' names.
        self._runs: dict[tuple[object, ...], tuple[Feeds, Sequence[str]]] | None = {}

    def wrap(self, run: Run) -> Run:
        """Returns a `run` that does the same, and is noted."""

        def noted(feeds: Feeds, fetches: Sequence[str]) -> list[np.ndarray]:
            runs = self._runs
            if runs is not None and len(runs) < MAX_NOTED:
                shapes = tuple((name, array.shape[1:]) for name, array in feeds.items())
                runs.setdefault((shapes, tuple(fetches)), (feeds, fetches))
            return run(feeds, fetches)

        return noted

    def take(self) -> list[tuple[Feeds, Sequence[str]]]:
        """Returns the runs so far, and notes no more."""
        runs, self._runs = self._runs, None
        return list((runs or {}).values())


def warm_sizes(
    model: ServedModel, runs: Sequence[tuple[Feeds, Sequence[str]]], sizes: Sequence[int]
) -> int:
    """Repeats the rows of each run to each size, runs that, and returns how often it did.

    Left out are runs without rows, those with an input whose first dimension is fixed, and sizes
    at which the inputs have more than `MAX_BYTES`, or more pixels than a request may have. Where
    such a run fails, a warning says so: requests may well succeed.

    Args:
        model: Model that was just loaded. It is run past its queue.
        runs: Feeds and fetches of runs that succeeded.
        sizes: Sizes of batches.
    """
    infos = {
        info.name: info
        for signature in model.signatures.values()
        for info in signature.inputs.values()
    }
    open_names = {name for name, info in infos.items() if info.shape and info.shape[0] is None}
    count = 0
    for feeds, fetches in runs:
        rows = min((len(array) for array in feeds.values() if array.ndim), default=0)
        if rows == 0 or not open_names.issuperset(feeds):
            continue
        row_bytes = sum(map(_bytes_of, feeds.values())) / rows
        for size in sizes:
            if size == rows:
                continue
            try:
                if size * row_bytes > MAX_BYTES:
                    raise invalid_argument(f"the inputs have more than {MAX_BYTES} bytes")
                indices = np.arange(size) % rows
                repeated = {name: array[indices] for name, array in feeds.items()}
                model.budget.check_strings(repeated.values())
                model.session.run(repeated, fetches)
            except ServingError as error:
                logger.warning("%s: no warm-up with %d rows: %s", model.folder, size, error.message)
                break  # a larger one would not fare better
            count += 1
    return count


def _bytes_of(array: np.ndarray) -> int:
    return sum(map(len, array.flat)) if array.dtype == np.object_ else array.nbytes
