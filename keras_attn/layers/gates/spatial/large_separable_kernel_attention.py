"""Large separable kernel attention (Lau et al., 2024)."""

from __future__ import annotations

from typing import Any

import keras

from keras_attn._checks import check_odd, check_positive_int
from keras_attn.layers._base import clone_initializer
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class LargeSeparableKernelAttention(ComposedAttentionLayer):
    """LSKA: a large kernel, taken apart into strips of which half are dilated, makes the mask.

    [Lau et al., "Large Separable Kernel Attention: Rethinking the Large Kernel Attention Design in
    CNN", Expert Systems with Applications 2024](https://arxiv.org/abs/2309.01439), equations 8 to
    11, as the authors' `LSKA`. Its four depthwise convolutions are two strips near each place and
    two wide ones of dilation d:

        z = conv_(2d-1)x1(conv_1x(2d-1)(x))                # depthwise
        z = conv_(k//d)x1(conv_1x(k//d)(z)), dilation d    # depthwise
        y = x * conv1x1(z)

    All have biases. The mask isn't squashed: it may be negative, or above 1. This is the gate
    alone; the projections around it in VAN's blocks are not part of the layer. It is computed in
    float32 (or wider) under 16-bit policies. The authors' sizes are (k, d) = (7, 2), (11, 2),
    (23, 3), (35, 3), (41, 3) and (53, 3).

    The 1x1 convolution's kernel starts at 0 and its bias at 1, which is ours: a fresh layer is the
    identity. With the authors' start the product is one of a map with a map as large, which
    grows from block to block where nothing normalizes it; VAN's blocks scale it by 0.01.

    Args:
        kernel_size: Positive integer k, the side of the kernel that is taken apart.
        dilation_rate: Positive integer d; `kernel_size // dilation_rate` must be odd.
        kernel_initializer: Initializer of the strips' kernels; `None` is the authors' normal
            distribution of variance 2 / n, n being the places of a strip.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, mask)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the mask, float32, likewise.

    Raises:
        ValueError: If an argument is no positive integer, or `kernel_size // dilation_rate` is
            even.

    Example:

    >>> layer = keras_attn.layers.LargeSeparableKernelAttention(11, dilation_rate=2)
    >>> y, mask = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> mask.shape, layer.count_params()  # 32 * (3 + 3 + 5 + 5 + 4) + 32 * 32 + 32
    (TensorShape([2, 7, 5, 32]), 1696)
    """

    attention_form = "mask"
    starts_as = "identity"

    def __init__(
        self,
        kernel_size: int = 23,
        *,
        dilation_rate: int = 3,
        kernel_initializer: Initializer = None,
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
        self.kernel_size = check_positive_int("kernel_size", kernel_size)
        self.dilation_rate = check_positive_int("dilation_rate", dilation_rate)
        check_odd("kernel_size // dilation_rate", self.kernel_size // self.dilation_rate)

    def build(self, input_shape: Shape) -> None:
        """Makes the strips and the projection for C channels."""
        channels = self._channels(input_shape)
        # No weight depends on H and W: a map may be smaller than a strip.
        shape = self._image_shape(input_shape[0], (None, None), channels)
        near, far = 2 * self.dilation_rate - 1, self.kernel_size // self.dilation_rate
        self.strips = [
            built(self._strip(name, size, rate), shape)
            for name, size, rate in (
                ("near_row", (1, near), 1),
                ("near_column", (near, 1), 1),
                ("far_row", (1, far), self.dilation_rate),
                ("far_column", (far, 1), self.dilation_rate),
            )
        ]
        # The mask starts at 1.
        start: dict[str, Any] = {"kernel_initializer": "zeros", "bias_initializer": "ones"}
        project = self._conv2d("project", channels, dtype=self.attention_policy, **start)
        self.project = built(project, shape)
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, mask)`."""
        x = self._wide(inputs)
        for strip in self.strips:
            x = strip(x)
        mask = self.project(x)  # (B, H, W, C)
        outputs = self._gated(inputs, mask)
        return (outputs, mask) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The mask's: as the input's."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
        }

    def _initializer(self, number: int) -> Initializer:
        if self.kernel_initializer is not None:
            return clone_initializer(self.kernel_initializer)
        return keras.initializers.RandomNormal(stddev=(2 / number) ** 0.5)

    def _strip(self, name: str, size: tuple[int, int], rate: int) -> keras.layers.DepthwiseConv2D:
        return keras.layers.DepthwiseConv2D(
            size,
            padding="same",
            dilation_rate=rate,
            depthwise_initializer=self._initializer(max(size)),
            depthwise_regularizer=self.kernel_regularizer,
            data_format=self.data_format,
            dtype=self.attention_policy,
            name=name,
        )
