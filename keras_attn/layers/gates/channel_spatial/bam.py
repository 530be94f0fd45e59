"""The Bottleneck Attention Module (Park et al., BMVC 2018)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_choice
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.layers.gates.channel.squeeze_excite import squeeze
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class BAM(ComposedAttentionLayer):
    """The Bottleneck Attention Module: a mask from a channel branch and a spatial branch.

    [Park et al., "BAM: Bottleneck Attention Module", BMVC 2018](https://arxiv.org/abs/1807.06514),
    equations 1 to 4, and the authors' `bam.py`:

        Mc = fc(relu(bn(fc(mean(x)))))                                   # (B, 1, 1, C)
        Ms = conv1x1(relu(bn(d3x3(relu(bn(d3x3(relu(bn(conv1x1(x))))))))))  # (B, H, W, 1)
        M  = sigmoid(Mc + Ms)
        y  = (1 + M) x

    d3x3 being dilated, `C // ratio` channels inside, and biases everywhere. The paper adds the two
    branches; the authors' code, and the weights that it trained, multiply them:
    `combine="product"`. In the paper's networks one module follows each stage but the last.

    Both branches and the mask are computed in float32 (or wider) under 16-bit policies. A fresh
    mask is near 1/2: the layer makes its map about 1.4 times as large.

    Args:
        ratio: Positive integer r.
        dilation_rate: Positive integer, the dilation of the two 3x3 convolutions.
        combine: `"sum"`, the paper's formula, or `"product"`, the authors' code.
        kernel_initializer: Initializer of all kernels.
        kernel_regularizer: Regularizer of all kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, mask)`, the mask being M.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the mask, float32, likewise.

    Raises:
        ValueError: Where an argument is out of its range, or `C // ratio` is 0.

    Example:

    >>> layer = keras_attn.layers.BAM(ratio=8)
    >>> y, mask = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> y.shape, mask.shape
    (TensorShape([2, 7, 5, 32]), TensorShape([2, 7, 5, 32]))
    """

    attention_form = "mask"

    def __init__(
        self,
        ratio: int = 16,
        *,
        dilation_rate: int = 4,
        combine: str = "sum",
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
        self.dilation_rate = check_positive_int("dilation_rate", dilation_rate)
        self.combine = check_choice("combine", combine, ("sum", "product"))

    def build(self, input_shape: Shape) -> None:
        """Makes both branches for C channels."""
        channels = self._channels(input_shape)
        width = bottleneck_width(channels, self.ratio, input_shape)
        exact = {"dtype": self.attention_policy}
        self.channel_reduce = built(self._dense("channel_reduce", width, **exact), (None, channels))
        self.channel_bn = built(
            self._batch_norm("channel_bn", data_format="channels_last", **exact), (None, width)
        )
        self.channel_expand = built(self._dense("channel_expand", channels, **exact), (None, width))

        dilated = {"padding": "same", "dilation_rate": self.dilation_rate, **exact}
        inner_shape = self._image_shape(input_shape[0], self._spatial(input_shape), width)
        convs = [
            built(self._conv2d("spatial_reduce", width, **exact), input_shape),
            built(self._conv2d("spatial_conv1", width, 3, **dilated), inner_shape),
            built(self._conv2d("spatial_conv2", width, 3, **dilated), inner_shape),
        ]
        names = ("spatial_reduce_bn", "spatial_bn1", "spatial_bn2")
        self.spatial_convs = convs
        self.spatial_bns = [built(self._batch_norm(name, **exact), inner_shape) for name in names]
        self.spatial_logit = built(self._conv2d("spatial_logit", 1, **exact), inner_shape)
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the masked map, or `(outputs, mask)`."""
        x = ops.cast(inputs, self.attention_dtype)
        pooled = squeeze(x, "average", self.spatial_axes)
        hidden = ops.relu(self.channel_bn(self.channel_reduce(pooled), training=training))
        channel = ops.expand_dims(self.channel_expand(hidden), self.spatial_axes)  # (B, 1, 1, C)

        for conv, bn in zip(self.spatial_convs, self.spatial_bns, strict=True):
            x = ops.relu(bn(conv(x), training=training))  # (B, H, W, C // r)
        spatial = self.spatial_logit(x)  # (B, H, W, 1)

        # Not ops.add: on TensorFlow a tensor that is broadcast may pass for a bias of another axis.
        logits = channel + spatial if self.combine == "sum" else channel * spatial
        mask = ops.sigmoid(logits)  # (B, H, W, C)
        outputs = self._gated(inputs, ops.add(mask, 1))
        return (outputs, mask) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The mask's: as the input's."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "dilation_rate": self.dilation_rate,
            "combine": self.combine,
        }
