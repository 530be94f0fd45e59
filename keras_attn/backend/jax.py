"""JAX's operations that `keras.ops` has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax


def value_and_gradient(
    function: Callable[[jax.Array], tuple[jax.Array, Any]], x: jax.Array
) -> tuple[tuple[jax.Array, Any], jax.Array]:
    """See `keras_attn.backend.value_and_gradient`."""
    result: tuple[tuple[jax.Array, Any], jax.Array]
    result = jax.value_and_grad(function, has_aux=True)(x)
    return result
