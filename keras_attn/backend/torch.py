"""PyTorch's operations that `keras.ops` has not."""

# pyright: reportAttributeAccessIssue=false
# Where PyTorch is not installed, it takes this file for PyTorch.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from keras_attn.typing import Tensor


def value_and_gradient(
    function: Callable[[Tensor], tuple[Tensor, Any]], x: Tensor
) -> tuple[tuple[Tensor, Any], Tensor]:
    """See `keras_attn.backend.value_and_gradient`."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        value, others = function(x)
    if not value.requires_grad:  # nothing connects the two
        return (value, others), torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(value, x, allow_unused=True, materialize_grads=True)
    return (value, others), gradient
