"""What a backend has beyond `keras.ops`: a file for each; only that of the running one is imported.

A layer asks for an operation here, and does without where it gets `None`.
"""

from collections.abc import Callable

import keras


def fused_batch_norm() -> Callable | None:
    """One operation that normalizes images, where it is better than several of `keras.ops`."""
    return None


if keras.backend.backend() == "tensorflow":
    from keras_attn.backend.tensorflow import fused_batch_norm as fused_batch_norm  # noqa: F811
