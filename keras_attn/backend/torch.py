"""PyTorch's operations that `keras.ops` has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def value_and_gradient(
    function: Callable[[torch.Tensor], tuple[torch.Tensor, Any]], x: torch.Tensor
) -> tuple[tuple[torch.Tensor, Any], torch.Tensor]:
    """See `keras_attn.backend.value_and_gradient`."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        value, others = function(x)
    (gradient,) = torch.autograd.grad(value, x)
    return (value, others), gradient
