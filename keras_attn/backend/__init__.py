"""What a backend has beyond `keras.ops`: a file for each; only that of the running one is imported.

A layer asks for an operation here, and does without where it gets `None`.
"""

from collections.abc import Callable
from typing import Any

import keras

from keras_attn.typing import Tensor

__all__ = ["fused_batch_norm", "on_tensorflow_cpu", "value_and_gradient"]


def on_tensorflow_cpu() -> bool:
    """Whether TensorFlow runs here, and no device but CPUs."""
    return False


def fused_batch_norm() -> Callable[..., tuple[Tensor, Tensor, Tensor]] | None:
    """One operation that normalizes images, where it is better than several of `keras.ops`."""
    return None


def value_and_gradient(
    function: Callable[[Tensor], tuple[Tensor, Any]], x: Tensor
) -> tuple[tuple[Tensor, Any], Tensor]:
    """What a function gives, and the gradient of its first value.

    Args:
        function: Takes a tensor; gives a scalar, and any structure of tensors.
        x: Tensor of floats.

    Returns:
        What the function gives, and the scalar's gradient with respect to x, of its shape: zeros
        where nothing connects the two.
    """
    raise NotImplementedError(f"Keras's backend {keras.backend.backend()!r} has no gradients")


if keras.backend.backend() == "tensorflow":
    from keras_attn.backend.tensorflow import (  # noqa: F811
        fused_batch_norm,
        on_tensorflow_cpu,
        value_and_gradient,
    )
elif keras.backend.backend() == "jax":
    from keras_attn.backend.jax import value_and_gradient  # noqa: F811
elif keras.backend.backend() == "torch":
    from keras_attn.backend.torch import value_and_gradient  # noqa: F811
