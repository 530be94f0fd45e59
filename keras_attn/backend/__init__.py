"""What a backend has beyond `keras.ops`: a file for each; only that of the running one is imported.

A layer asks for an operation here, and does without where it gets `None`.
"""

from collections.abc import Callable

import keras

from keras_attn.typing import Tensor

__all__ = ["fused_batch_norm", "on_tensorflow_cpu"]


def on_tensorflow_cpu() -> bool:
    """Whether TensorFlow runs here, and no device but CPUs."""
    return False


def fused_batch_norm() -> Callable[..., tuple[Tensor, Tensor, Tensor]] | None:
    """One operation that normalizes images, where it is better than several of `keras.ops`."""
    return None


if keras.backend.backend() == "tensorflow":
    from keras_attn.backend.tensorflow import fused_batch_norm, on_tensorflow_cpu  # noqa: F811
