"""Efficient multi-scale attention (Ouyang et al., ICASSP 2023)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_groups
from keras_attn.layers.self_attention._softmax import softmax_places
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor

EPSILON = 1e-5  # of the authors' GroupNorm


def normalize_places(x: Tensor) -> Tensor:
    """Each channel less its mean, by its standard deviation over the places: axes 1 and 2."""
    mean = ops.mean(x, axis=(1, 2), keepdims=True)
    variance = ops.mean(ops.square(x - mean), axis=(1, 2), keepdims=True)
    return (x - mean) * ops.rsqrt(variance + EPSILON)


@keras.saving.register_keras_serializable(package="keras_attn")
class EfficientMultiScaleAttention(ComposedAttentionLayer):
    """EMA: two branches of each group, 1x1 and 3x3, weigh each other's channels to gate places.

    [Ouyang et al., "Efficient Multi-Scale Attention Module with Cross-Spatial Learning", ICASSP
    2023](https://arxiv.org/abs/2305.13563), section 3, as the authors' code. The C channels are G
    groups; x being one of them, of c = C / G channels:

        [h; w] = conv1x1([mean over W of x; mean over H of x])      # (H + W, c)
        u = gn(x * sigmoid(h) * sigmoid(w))                          # (H, W, c)
        v = conv3x3(x)                                               # (H, W, c)
        a = softmax_c(mean(u)) . v + softmax_c(mean(v)) . u            # (H, W)
        y = x * sigmoid(a)

    gn normalizes each channel over its places. All groups share their weights, 10 c^2 + 4 c of
    them. The name is also that of an average of weights, which has nothing to do with it.
    All but the output is computed in float32 (or wider) under 16-bit policies.

    Args:
        groups: Positive integer G, the authors' `factor`.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
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

    >>> layer = keras_attn.layers.EfficientMultiScaleAttention(groups=8)
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, layer.count_params()
    (TensorShape([2, 7, 5, 32]), 176)
    """

    attention_form = "mask"

    def __init__(
        self,
        groups: int = 32,
        *,
        kernel_initializer: Initializer = "he_normal",
        kernel_regularizer: Regularizer = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            data_format=data_format,
            **kwargs,
        )
        self.groups = check_positive_int("groups", groups)

    def build(self, input_shape: Shape) -> None:
        """Makes the weights that all groups share."""
        of_group = check_groups(self.groups, self._channels(input_shape), input_shape)
        exact = {"dtype": self.attention_policy}
        shape = (None, None, None, of_group)
        # A group is an image (B G, H, W, c) in both data formats.
        options = {"padding": "same", "data_format": "channels_last", **exact}
        self.strips = built(self._dense("strips", of_group, **exact), (None, None, of_group))
        self.conv = built(self._conv2d("conv", of_group, 3, **options), shape)
        self.gamma, self.beta = (
            self.add_weight(name=name, shape=(of_group,), initializer=initializer, autocast=False)
            for name, initializer in (("gamma", "ones"), ("beta", "zeros"))
        )
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        x = self._to_last(self._wide(inputs))  # (B, H, W, C)
        _, height, width, channels = ops.shape(x)
        of_group = channels // self.groups
        x = ops.reshape(x, (-1, height, width, self.groups, of_group))
        x = ops.reshape(ops.transpose(x, (0, 3, 1, 2, 4)), (-1, height, width, of_group))

        rows = ops.sigmoid(self.strips(ops.mean(x, axis=2)))[:, :, None]  # (B G, H, 1, c)
        columns = ops.sigmoid(self.strips(ops.mean(x, axis=1)))[:, None]  # (B G, 1, W, c)
        u = normalize_places(x * rows * columns)
        u = self._wide(self.gamma) * u + self._wide(self.beta)  # (B G, H, W, c)
        v = self.conv(x)
        gate = ops.sigmoid(_weighed(v, by=u) + _weighed(u, by=v))  # (B G, H, W)

        gate = ops.reshape(gate, (-1, self.groups, height, width))
        gate = ops.repeat(ops.transpose(gate, (0, 2, 3, 1)), of_group, axis=-1)  # (B, H, W, C)
        gate = self._from_last(gate)
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: as the input's."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "groups": self.groups}


def _weighed(x: Tensor, by: Tensor) -> Tensor:
    """The sum over channels of x, weighted by a softmax of the other's means: (B G, H, W)."""
    weights = softmax_places(ops.mean(by, axis=(1, 2)))  # (B G, c)
    return ops.einsum("bhwc,bc->bhw", x, weights)
