"""Outlook attention (Yuan et al., TPAMI 2022)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_divisible, check_odd, check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._shapes import ceil_div
from keras_attn.layers.contract import check_query
from keras_attn.typing import Initializer, Regularizer, Shape, Size, Tensor


def unfold(x: Tensor, side: int, strides: int) -> Tensor:
    """Cuts a window around every s-th place, zeros beyond the edge.

    Args:
        x: Tensor of shape (B, H, W, C).
        side: k, the odd side of a window.
        strides: s.

    Returns:
        Tensor of shape (B, ceil(H / s), ceil(W / s), k k, C).
    """
    _, height, width, _ = ops.shape(x)
    down, across = (ceil_div(length, strides) * strides for length in (height, width))
    before = side // 2
    x = ops.pad(
        x,
        (
            (0, 0),
            (before, before + down - height),
            (before, before + across - width),
            (0, 0),
        ),
    )
    seen = [
        x[:, i : i + down : strides, j : j + across : strides]
        for i in range(side)
        for j in range(side)
    ]
    return ops.stack(seen, axis=3)


def fold(x: Tensor, side: int, strides: int, size: tuple[Size, Size]) -> Tensor:
    """Adds up on the map what stands in the windows of `unfold`.

    Args:
        x: Tensor of shape (B, h, w, k k, C).
        side: k, the odd side of a window.
        strides: s.
        size: (H, W).

    Returns:
        Tensor of shape (B, H, W, C).
    """
    _, rows, columns, _, channels = ops.shape(x)
    total: Tensor = 0.0
    gaps = ((0, 0), (0, 0), (0, strides - 1), (0, 0), (0, strides - 1), (0, 0))
    for place in range(side * side):
        i, j = divmod(place, side)
        # Zeros between the windows' places, then those around them.
        spread = ops.pad(x[:, :, :, place][:, :, None, :, None], gaps)
        spread = ops.reshape(spread, (-1, rows * strides, columns * strides, channels))
        last = side - 1
        total = total + ops.pad(spread, ((0, 0), (i, last - i), (j, last - j), (0, 0)))
    before = side // 2
    return total[:, before : before + size[0], before : before + size[1]]


def pool_from_the_corner(x: Tensor, strides: int) -> Tensor:
    """Means of s x s places, the last ones of what is left: (B, H, W, C) -> (B, h, w, C)."""
    if strides == 1:
        return x
    _, height, width, channels = ops.shape(x)
    down, across = ceil_div(height, strides), ceil_div(width, strides)
    widths = (
        (0, 0),
        (0, down * strides - height),
        (0, across * strides - width),
        (0, 0),
    )

    def summed(x: Tensor) -> Tensor:
        x = ops.pad(x, widths)
        x = ops.reshape(x, (-1, down, strides, across, strides, ops.shape(x)[-1]))
        return ops.sum(x, axis=(2, 4))

    return summed(x) / summed(ops.ones_like(x[..., :1]))


@keras.saving.register_keras_serializable(package="keras_attn")
class OutlookAttention(ComposedAttentionLayer):
    """Outlook attention: each place alone says how its window's places attend to each other.

    [Yuan et al., "VOLO: Vision Outlooker for Visual Recognition", 2021](
    https://arxiv.org/abs/2106.13112), equations 3 to 5 and algorithm 1, as the authors' and timm's
    code. For each window of k x k places around a place i, and each of N heads:

        A_i = softmax(d^-1/2 (W_a x_i + b_a))      # k^2 x k^2, d = C / N
        Y_i = A_i V_i                              # V_i: the values of the k^2 places
        y   = W_o fold(Y) + b_o                    # each place is the sum over its windows

    No query meets a key: the weights come from the middle of the window. With strides there is a
    window around every s-th place, whose A comes from the mean of s x s places. Places beyond the
    edge have the value 0, and do get weight. All but the output is computed in float32 (or wider)
    under 16-bit policies.

    Args:
        num_heads: Positive integer N.
        value_depth: Positive integer, the depth of values and of the output, divisible by
            `num_heads`; `None` takes C.
        kernel_size: Positive odd integer k.
        window_strides: Positive integer s; VOLO has 2. The output's size is the input's.
        use_bias: Whether the values have a bias.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        (B, H, W, value_depth); the attention, float32, has shape (B, N, h, w, k k, k k) in both
        data formats, h being ceil(H / s): the window, the place in it that attends, and the one
        that it attends to.

    Raises:
        ValueError: Where an argument is out of its range, or the depth isn't divisible by
            `num_heads`.

    Example:

    >>> layer = keras_attn.layers.OutlookAttention(num_heads=2)
    >>> y, attention = layer(np.ones((1, 5, 3, 16), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([1, 5, 3, 16]), TensorShape([1, 2, 5, 3, 9, 9]))
    """

    attention_form = "map"
    starts_as = "new_map"

    def __init__(
        self,
        num_heads: int = 6,
        *,
        value_depth: int | None = None,
        kernel_size: int = 3,
        window_strides: int = 1,
        use_bias: bool = False,
        kernel_initializer: Initializer = "glorot_uniform",
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
        self.num_heads = check_positive_int("num_heads", num_heads)
        if value_depth is not None:
            check_divisible("value_depth", value_depth, "num_heads", num_heads)
        self.value_depth = value_depth
        self.kernel_size = check_odd("kernel_size", kernel_size)
        self.window_strides = check_positive_int("window_strides", window_strides)
        self.use_bias = use_bias

    def build(self, input_shape: Shape) -> None:
        """Makes the projections for C channels."""
        channels = self._channels(input_shape)
        depth = check_divisible(
            "value_depth", self.value_depth or channels, "num_heads", self.num_heads
        )
        exact = {"dtype": self.attention_policy}
        shape = (None, None, None, channels)
        value = self._dense("value", depth, use_bias=self.use_bias, **exact)
        weights = self._dense("attention", self.kernel_size**4 * self.num_heads, **exact)
        self.value, self.attention = built(value, shape), built(weights, shape)
        self.project = built(self._dense("project", depth, **exact), (None, None, None, depth))
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the attended map, or `(outputs, attention)`."""
        x = self._to_last(self._wide(inputs))
        size, side, strides = ops.shape(x)[1:3], self.kernel_size, self.window_strides
        places = side * side
        v = unfold(self.value(x), side, strides)  # (B, h, w, k k, N d)
        _, rows, columns, _, depth = ops.shape(v)
        v = ops.reshape(v, (-1, rows, columns, places, self.num_heads, depth // self.num_heads))

        logits = self.attention(pool_from_the_corner(x, strides))
        logits = logits * (depth // self.num_heads) ** -0.5
        # TensorFlow's softmax takes no more than five axes on some of Intel's processors.
        logits = ops.reshape(logits, (-1, rows, columns, self.num_heads * places, places))
        # A window of one place has the weight 1.
        weights = ops.softmax(logits, axis=-1) if places > 1 else ops.ones_like(logits)
        weights = ops.reshape(weights, (-1, rows, columns, self.num_heads, places, places))
        y = ops.einsum("bhwnpq,bhwqnd->bhwpnd", weights, v)
        y = ops.reshape(y, (-1, rows, columns, places, depth))
        outputs = self.project(fold(y, side, strides, size))
        outputs = ops.cast(self._from_last(outputs), self.compute_dtype)
        if not return_attention:
            return outputs
        return outputs, ops.transpose(weights, (0, 3, 1, 2, 4, 5))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, value_depth)."""
        depth = self.value_depth or self._channels(input_shape)
        return self._image_shape(input_shape[0], self._spatial(input_shape), depth)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, N, h, w, k k, k k)."""
        windows = (
            None if side is None else -(-side // self.window_strides)
            for side in self._spatial(input_shape)
        )
        places = self.kernel_size**2
        return (input_shape[0], self.num_heads, *windows, places, places)

    def attention_by_place(
        self,
        attention: Any,
        output_shape: tuple[Any, ...],
        query: tuple[int, int] | None = None,
    ) -> Any:
        """What each place receives in all windows, or the query pays in its own: (B, H, W).

        What goes to places beyond the edge is missing.
        """
        size, side, strides = self._spatial(output_shape), self.kernel_size, self.window_strides
        attention = ops.mean(attention, axis=1)  # (B, h, w, k k, k k)
        asked = ops.ones((1, *size, 1), attention.dtype)
        if query is not None:
            row, column = check_query(query, size)
            y, x = ops.arange(size[0]) == row, ops.arange(size[1]) == column
            asked = ops.cast(ops.logical_and(y[:, None], x)[None, ..., None], attention.dtype)
        asking = unfold(asked, side, strides)  # (1, h, w, k k, 1): 1 where a place may ask
        received = ops.sum(attention * asking, axis=3)[..., None]  # (B, h, w, k k, 1)
        return fold(received, side, strides, size)[..., 0] / ops.sum(asking)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "value_depth": self.value_depth,
            "kernel_size": self.kernel_size,
            "window_strides": self.window_strides,
            "use_bias": self.use_bias,
        }
