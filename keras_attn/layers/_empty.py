"""Layers of no image: what a replica gets, or a server, when there is nothing left."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.typing import Tensor


class AnyBatch(keras.layers.Layer):
    """Base of the layers that take a batch of no image, where its size is known.

    TensorFlow's convolutions of no image give the input's shape, and some of its gradients, that of
    a max pool for one, end the process; the mean of no image is NaN, and would stay in the
    statistics of a BatchNormalization. So one image of zeros is taken, in inference, and cut off.
    """

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """As Keras's."""
        others = keras.tree.flatten((args, kwargs))
        if not _is_empty(inputs) or any(map(ops.is_tensor, others)):
            return super().__call__(inputs, *args, **kwargs)
        one = ops.pad(inputs, [(0, 1)] + [(0, 0)] * (len(inputs.shape) - 1))
        outputs = super().__call__(one, *args, **{**kwargs, "training": False})
        return keras.tree.map_structure(lambda y: y[:0], outputs)


def _is_empty(inputs: Tensor) -> bool:
    shape = getattr(inputs, "shape", None)
    known = shape is not None and len(shape) > 0 and shape[0] == 0
    return known and not isinstance(inputs, keras.KerasTensor)
