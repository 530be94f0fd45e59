"""Exact attention by the operation of JAX and PyTorch, fused where it has a kernel.

It is given what the other forms compute with: a query or a key that is rounded to 16 bits moves
large logits by more than 1, and the output with them.
"""

from __future__ import annotations

from keras import ops

from keras_attn.layers._shapes import ceil_div
from keras_attn.typing import Tensor

DEPTH_STEP = 8  # the kernels take multiples of it


def attend_fused(q: Tensor, keys: Tensor, v: Tensor, places: Tensor = None) -> Tensor:
    """softmax(q . [keys, places]) v by `keras.ops.dot_product_attention`.

    Positions are folded into the product as in `chunked_attention.attend`, so that no bias of the
    map's size is needed, with which the kernels would hold the map. They want one depth for all
    three: keys and values are filled up with zeros, which changes no number.

    Args:
        q: Scaled queries, (A, M, d + p), A being images times heads; all in float32 or wider.
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

    def filled(x: Tensor) -> Tensor:
        x = ops.pad(x, ((0, 0), (0, 0), (0, depth - x.shape[-1])))
        return ops.expand_dims(x, 2)  # (A, M, 1, depth)

    outputs = ops.dot_product_attention(filled(q), filled(k), filled(v), scale=1.0)
    return outputs[:, :, 0, :value_dim]
