"""EPSANet's pyramid squeeze attention (Zhang et al., ACCV 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_odd, check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.layers.gates.channel.squeeze_excite import squeeze
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class PyramidSqueezeAttention(ComposedAttentionLayer):
    """EPSANet's pyramid squeeze attention: kernels of several sizes, and SE gates that compete.

    [Zhang et al., "EPSANet: An Efficient Pyramid Squeeze Attention Block on Convolutional Neural
    Network", 2021](https://arxiv.org/abs/2105.14447), equations 2 to 9, as the authors'
    `PSAModule`. With S branches of kernel size k_s and G_s groups:

        U_s = conv_{k_s}(x)                                   # (B, H, W, F / S)
        z_s = sigmoid(W2 relu(W1 mean(U_s) + b1) + b2)        # the same W1 and W2 for all
        a   = softmax over branches of z                      # (B, S, F / S)
        y   = [a_S U_S, ..., a_1 U_1]                         # (B, H, W, F)

    The paper's figure has the branches from the smallest kernel on; the authors' code concatenates
    them in the reverse order, and so does this layer. No convolution has a bias. The branches share
    their name, PSA, with `PolarizedSelfAttention`. The means, the gates and the softmax run in
    float32 (or wider) under 16-bit policies.

    Args:
        filters: Positive integer F; `None` takes the number of input channels.
        strides: Positive integer, the strides of the branches.
        kernel_sizes: Two or more positive odd integers, a branch each.
        branch_groups: As many positive integers, the groups of the branches' convolutions.
        ratio: Positive integer r; the bottleneck has `F / S // ratio` channels.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, gate)`.

    Input shape:
        (B, H, W, C), any H and W; C is divisible by each of the groups.

    Output shape:
        (B, ceil(H / strides), ceil(W / strides), filters); the gate, float32, has shape
        (B, 1, 1, filters), in the order of the output's channels.

    Raises:
        ValueError: Where an argument is out of its range, or channels can't be divided into
            branches or groups.

    Example:

    >>> layer = keras_attn.layers.PyramidSqueezeAttention(64, ratio=4)
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> y.shape, gate.shape
    (TensorShape([2, 7, 5, 64]), TensorShape([2, 1, 1, 64]))
    """

    attention_form = "channel_gate"
    starts_as = "new_map"

    def __init__(
        self,
        filters: int | None = None,
        *,
        strides: int = 1,
        kernel_sizes: Sequence[int] = (3, 5, 7, 9),
        branch_groups: Sequence[int] = (1, 4, 8, 16),
        ratio: int = 16,
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
        self.filters = None if filters is None else check_positive_int("filters", filters)
        self.strides = check_positive_int("strides", strides)
        self.kernel_sizes = tuple(check_odd("kernel_sizes", size) for size in kernel_sizes)
        self.branch_groups = tuple(check_positive_int("branch_groups", g) for g in branch_groups)
        if len(self.kernel_sizes) < 2 or len(self.kernel_sizes) != len(self.branch_groups):
            raise ValueError(
                "`kernel_sizes` and `branch_groups` must be two or more numbers, as many of one as "
                f"of the other. Received: kernel_sizes={self.kernel_sizes}, "
                f"branch_groups={self.branch_groups}"
            )
        self.ratio = check_positive_int("ratio", ratio)

    def build(self, input_shape: Shape) -> None:
        """Makes the branches and the bottleneck for C channels."""
        channels = self._channels(input_shape)
        filters, branches = self.filters or channels, len(self.kernel_sizes)
        of_branch = filters // branches
        if filters % branches or any(channels % g or of_branch % g for g in self.branch_groups):
            raise ValueError(
                f"The filters must be divisible by the {branches} branches, and each of "
                "`branch_groups` must divide the input's channels and those of a branch. "
                f"Received: branch_groups={self.branch_groups}, filters={filters}, "
                f"input_shape={tuple(input_shape)}"
            )
        # No weight depends on H and W, and `call` pads: a map may be smaller than a kernel.
        any_size = self._image_shape(input_shape[0], (None, None), channels)
        options = {"strides": self.strides, "use_bias": False}
        self.convs = [
            built(self._conv2d(f"conv{i + 1}", of_branch, size, groups=groups, **options), any_size)
            for i, (size, groups) in enumerate(
                zip(self.kernel_sizes, self.branch_groups, strict=True)
            )
        ]
        width = bottleneck_width(of_branch, self.ratio, input_shape)
        exact = {"dtype": self.attention_policy}
        self.reduce = built(self._dense("reduce", width, **exact), (None, None, of_branch))
        self.expand = built(self._dense("expand", of_branch, **exact), (None, None, width))
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated branches, or `(outputs, gate)`."""
        branches = [
            self._wide(conv(self._padded(inputs, size)))
            for conv, size in zip(self.convs, self.kernel_sizes, strict=True)
        ]
        pooled = [squeeze(branch, "average", self.spatial_axes) for branch in branches]
        hidden = ops.relu(self.reduce(ops.stack(pooled, axis=1)))
        attention = ops.softmax(ops.sigmoid(self.expand(hidden)), axis=1)  # (B, S, F / S)
        gates = [attention[:, i] for i in range(len(branches))][::-1]
        gate = ops.expand_dims(ops.concatenate(gates, axis=-1), self.spatial_axes)  # (B, 1, 1, F)
        outputs = ops.concatenate(branches[::-1], axis=self.channel_axis) * gate
        outputs = ops.cast(outputs, self.compute_dtype)
        return (outputs, gate) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, ceil(H / strides), ceil(W / strides), filters)."""
        size = tuple(
            None if side is None else -(-side // self.strides)
            for side in self._spatial(input_shape)
        )
        filters = self.filters or self._channels(input_shape)
        return self._image_shape(input_shape[0], size, filters)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: (B, 1, 1, filters)."""
        filters = self.filters or self._channels(input_shape)
        return self._image_shape(input_shape[0], (1, 1), filters)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "kernel_sizes": self.kernel_sizes,
            "branch_groups": self.branch_groups,
            "ratio": self.ratio,
        }

    def _padded(self, x: Tensor, size: int) -> Tensor:
        """As many zeros on every side: with strides, "same" would pad one side more."""
        widths = [(0, 0)] * 4
        for axis in self.spatial_axes:
            widths[axis] = (size // 2, size // 2)
        return ops.pad(x, widths)
