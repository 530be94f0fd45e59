"""Exact attention by the fused kernels of JAX and PyTorch, which never hold the map."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers._shapes import ceil_div

# What the kernels take: depths that are multiples of the one, up to the other.
DEPTH_STEP, MAX_DEPTH = 8, 256


def attend_fused(q: Any, keys: Any, v: Any, places: Any = None) -> Any:
    """softmax(q . [keys, places]) v by `keras.ops.dot_product_attention`.

    Positions are folded into the product as in `chunked_attention.attend`, so that no bias of the
    map's size is needed, with which the kernels would hold the map. They want one depth for all
    three: keys and values are filled up with zeros, which changes no number.

    Args:
        q: Scaled queries, (A, M, d + p), A being images times heads.
        keys: Keys, (A, d, M).
        v: Values, (A, M, e).
        places: (M, p), the same for all of A; `None` where p is 0.

    Returns:
        Tensor of shape (A, M, e).
    """
    value_dim = v.shape[-1]
    k = ops.transpose(keys, (0, 2, 1))  # (A, M, d)
    if places is not None:
        shape = (ops.shape(k)[0], *ops.shape(places))
        k = ops.concatenate([k, ops.broadcast_to(places, shape)], axis=-1)
    depth = ceil_div(max(q.shape[-1], value_dim), DEPTH_STEP) * DEPTH_STEP

    def filled(x: Any) -> Any:
        x = ops.pad(x, ((0, 0), (0, 0), (0, depth - x.shape[-1])))
        return ops.expand_dims(x, 2)  # (A, M, 1, depth)

    outputs = ops.dot_product_attention(filled(q), filled(k), filled(v), scale=1.0)
    return outputs[:, :, 0, :value_dim]


def has_fused_kernel(q: Any, value_dim: int) -> bool:
    """Whether a kernel that never holds the map takes such queries, (A, M, d + p), and values.

    That is on a GPU or TPU under JAX or PyTorch, in 16 bits, up to a depth of 256.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        accelerated = q.device.type != "cpu"
    elif backend == "jax":
        accelerated = any(not name.startswith("cpu") for name in keras.distribution.list_devices())
    else:
        return False
    short = keras.backend.standardize_dtype(q.dtype) in ("float16", "bfloat16")
    depth = q.shape[-1]
    return accelerated and short and depth is not None and max(depth, value_dim) <= MAX_DEPTH
