"""timm's light form of CBAM."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_odd, check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.layers.gates.channel.squeeze_excite import squeeze
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class LightCBAM(ComposedAttentionLayer):
    """CBAM whose two gates see the mean of average and maximum: timm's experiment, in no paper.

    [Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018](
    https://arxiv.org/abs/1807.06521), has an MLP over each of the two pools, and a convolution
    over both. timm's `LightCbamModule` adds the pools first:

        z  = (mean(x) + max(x)) / 2                        # (B, C)
        x' = sigmoid(W2 relu(W1 z)) * x
        m  = (mean_c(x') + max_c(x')) / 2                  # (B, H, W, 1)
        y  = sigmoid(bn(conv7x7(m))) * x'

    No projection has a bias. Both gates are computed in float32 (or wider) under 16-bit policies.

    Args:
        ratio: Positive integer r; the MLP has `C // ratio` channels inside, where timm rounds.
        kernel_size: Positive odd integer, the side of the convolution's kernel.
        use_bias: Whether the MLP has biases; timm's `mlp_bias`.
        kernel_initializer: Initializer of the three kernels.
        kernel_regularizer: Regularizer of the three kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, gate)`, the gate being the product of both.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the gate, float32, likewise.

    Raises:
        ValueError: Where an argument is out of its range, or `C // ratio` is 0.

    Example:

    >>> layer = keras_attn.layers.LightCBAM(ratio=8)
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> y.shape, gate.shape
    (TensorShape([2, 7, 5, 32]), TensorShape([2, 7, 5, 32]))
    """

    attention_form = "mask"

    def __init__(
        self,
        ratio: int = 16,
        *,
        kernel_size: int = 7,
        use_bias: bool = False,
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
        self.ratio = check_positive_int("ratio", ratio)
        self.kernel_size = check_odd("kernel_size", kernel_size)
        self.use_bias = use_bias

    def build(self, input_shape: Shape) -> None:
        """Makes the MLP for C channels, and the convolution."""
        channels = self._channels(input_shape)
        width = bottleneck_width(channels, self.ratio, input_shape)
        exact = {"dtype": self.attention_policy}
        options = {"use_bias": self.use_bias, **exact}
        self.reduce = built(self._dense("reduce", width, **options), (None, channels))
        self.expand = built(self._dense("expand", channels, **options), (None, width))
        convolution = self._conv2d(
            "conv", 1, self.kernel_size, padding="same", use_bias=False, **exact
        )
        place = self._image_shape(input_shape[0], self._spatial(input_shape), 1)
        self.conv = built(convolution, place)
        self.bn = built(self._batch_norm("bn", **exact), place)
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        x = self._wide(inputs)
        mean, greatest = (squeeze(x, each, self.spatial_axes) for each in ("average", "max"))
        channel_gate = ops.sigmoid(self.expand(ops.relu(self.reduce((mean + greatest) / 2))))
        channel_gate = ops.expand_dims(channel_gate, self.spatial_axes)  # (B, 1, 1, C)
        x = x * channel_gate
        mean, greatest = (
            pool(x, axis=self.channel_axis, keepdims=True) for pool in (ops.mean, ops.max)
        )
        places = self.conv((mean + greatest) / 2)  # (B, H, W, 1)
        place_gate = ops.sigmoid(self.bn(places, training=training))
        outputs = ops.cast(x * place_gate, self.compute_dtype)
        if not return_attention:
            return outputs
        return outputs, channel_gate * place_gate  # (B, H, W, C)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gates' product: as the input."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "kernel_size": self.kernel_size,
            "use_bias": self.use_bias,
        }
