"""JAX's operations that `keras.ops` has not."""

# pyright: reportAttributeAccessIssue=false
# Where JAX is not installed, it takes this file for JAX.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from keras_attn.typing import Tensor


def value_and_gradient(
    function: Callable[[Tensor], tuple[Tensor, Any]], x: Tensor
) -> tuple[tuple[Tensor, Any], Tensor]:
    """See `keras_attn.backend.value_and_gradient`."""
    result: tuple[tuple[Tensor, Any], Tensor]
    result = jax.value_and_grad(function, has_aux=True)(x)
    return result
