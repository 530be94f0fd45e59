"""Spatial Group-wise Enhance (Li et al., 2019)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._base import AttentionLayer
from keras_attn.layers._validation import check_groups
from keras_attn.typing import Shape, Tensor

EPSILON = 1e-5  # the authors'
TINY = 1e-30


def standardize_places(x: Tensor) -> Tensor:
    """Each channel less its mean, by its standard deviation over the places: axes 1 and 2.

    The variance is that of a sample, with H W - 1 below, and epsilon is added to its root.
    """
    deviation = x - ops.mean(x, axis=(1, 2), keepdims=True)
    _, height, width, _ = ops.shape(x)
    others = ops.cast(ops.maximum(height * width - 1, 1), x.dtype)  # 1 of a map of one place
    variance = ops.sum(ops.square(deviation), axis=(1, 2), keepdims=True) / others
    # The root's gradient at 0 is infinite.
    return deviation / (ops.sqrt(ops.maximum(variance, TINY)) + EPSILON)


@keras.saving.register_keras_serializable(package="keras_attn")
class SpatialGroupEnhance(AttentionLayer):
    """Spatial Group-wise Enhance: places that are like their group's mean get a larger gate.

    [Li et al., "Spatial Group-wise Enhance: Improving Semantic Feature Learning in Convolutional
    Networks", 2019](https://arxiv.org/abs/1905.09646), equations 1 to 5, as the authors' code. The
    C channels are G groups; in each, with x_i a vector of C / G values at place i:

        c_i = x_i . mean over places of x            # likeness
        t_i = (c_i - mean(c)) / (std(c) + 1e-5)
        y_i = x_i * sigmoid(gamma t_i + beta)        # gamma, beta: a number for each group

    The gate is computed in float32 (or wider) under 16-bit policies. gamma starts at 0 and beta
    at 1: a fresh layer multiplies its map by sigmoid(1) = 0.73.

    Args:
        groups: Positive integer G.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, gate)`.

    Input shape:
        (B, H, W, C), any H and W; C is divisible by G.

    Output shape:
        As the input; the gate, float32, likewise: all channels of a group have the same.

    Raises:
        ValueError: If `groups` is no positive integer, or C isn't divisible by it.

    Example:

    >>> layer = keras_attn.layers.SpatialGroupEnhance(groups=8)
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, layer.count_params()
    (TensorShape([2, 7, 5, 32]), 16)
    """

    attention_form = "mask"

    def __init__(self, groups: int = 64, *, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.groups = check_positive_int("groups", groups)

    def build(self, input_shape: Shape) -> None:
        """Makes gamma and beta."""
        check_groups(self.groups, self._channels(input_shape), input_shape)
        self.gamma, self.beta = (
            self.add_weight(
                name=name, shape=(self.groups,), initializer=initializer, autocast=False
            )
            for name, initializer in (("gamma", "zeros"), ("beta", "ones"))
        )
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        x = self._to_last(self._wide(inputs))  # (B, H, W, C)
        _, height, width, channels = ops.shape(x)
        of_group = channels // self.groups
        likeness = x * ops.mean(x, axis=(1, 2), keepdims=True)
        likeness = ops.reshape(likeness, (-1, height, width, self.groups, of_group))
        likeness = standardize_places(ops.sum(likeness, axis=-1))  # (B, H, W, G)
        gate = ops.sigmoid(self._wide(self.gamma) * likeness + self._wide(self.beta))
        gate = self._from_last(ops.repeat(gate, of_group, axis=-1))  # (B, H, W, C)
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input."""
        return tuple(input_shape)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: as the input's."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "groups": self.groups}
