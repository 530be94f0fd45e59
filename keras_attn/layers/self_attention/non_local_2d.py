"""The non-local block (Wang et al., CVPR 2018) and SAGAN's form of it (Zhang et al., ICML 2019)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_choice
from keras_attn.layers.building_blocks.ceil_max_pooling2d import ceil_max_pool, ceil_pooled_length
from keras_attn.layers.contract import check_query
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.layers.self_attention._softmax import softmax_places
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor

MODES = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")
SCALES = ("batch_norm", "scalar", "none")


def pairwise_weights(theta: Tensor, phi: Tensor, mode: str) -> Tensor:
    """f(x_i, x_j) / C(x) of the paper's section 3.2, but for the concatenation.

    Args:
        theta: Queries, (B, M, d).
        phi: Keys, (B, K, d).
        mode: `"gaussian"` and `"embedded_gaussian"` take the softmax of the products over the
            keys; `"dot_product"` divides the products by K.

    Returns:
        Tensor of shape (B, M, K).
    """
    products = ops.matmul(theta, ops.transpose(phi, (0, 2, 1)))
    if mode == "dot_product":
        return _divide_by_keys(products)
    return softmax_places(products)


def concatenation_weights(theta: Tensor, phi: Tensor) -> Tensor:
    """relu(w_f [theta_i, phi_j]) / K from w_f's two halves: (B, M, 1), (B, K, 1) -> (B, M, K)."""
    # Not ops.add: on TensorFlow it may take a tensor that is broadcast for a bias of another axis.
    return _divide_by_keys(ops.relu(theta + ops.transpose(phi, (0, 2, 1))))


def _divide_by_keys(x: Tensor) -> Tensor:
    return ops.divide(x, ops.cast(ops.shape(x)[-1], x.dtype))


@keras.saving.register_keras_serializable(package="keras_attn")
class NonLocal2D(ComposedAttentionLayer):
    """The non-local block: a weighted sum over all places, added to the input.

    [Wang et al., "Non-local Neural Networks", CVPR 2018](https://arxiv.org/abs/1711.07971),
    equations 1 to 6:

        y_i = 1 / C(x) sum_j f(x_i, x_j) g(x_j)
        z   = bn(W_z y) + x

    | mode | f(x_i, x_j) | C(x) |
    |---|---|---|
    | `"gaussian"` | exp(x_i . x_j) | sum_j f |
    | `"embedded_gaussian"` | exp(theta(x_i) . phi(x_j)) | sum_j f |
    | `"dot_product"` | theta(x_i) . phi(x_j) | number of keys |
    | `"concatenation"` | relu(w_f . [theta(x_i), phi(x_j)]) | number of keys |

    Whatever `scale` is, a fresh block is the identity: BatchNormalization's gamma, the scalar
    gamma, or W_z itself starts at 0.

    [SAGAN's](https://arxiv.org/abs/1805.08318) self-attention, as in its authors' code, is
    `NonLocal2D(8, value_ratio=2, sub_sample=True, scale="scalar", use_bias=False)`; the spectral
    normalization of its networks is not part of the layer.

    All but the output is computed in float32 (or wider) under 16-bit policies. The whole map of M K
    weights is held in memory.

    Args:
        ratio: Positive integer; theta, phi and g have `C // ratio` channels.
        mode: See above.
        intermediate_filters: Positive integer that overrides `C // ratio`.
        value_ratio: Positive integer; g has `C // value_ratio` channels instead.
        sub_sample: Whether keys and values are max-pooled by 2x2 first. On odd sides the last
            window hangs over the edge, so that no place is lost; on even ones that is the usual
            pool.
        scale: `"batch_norm"`, the paper's, gamma starting at 0; `"scalar"`, SAGAN's one gamma that
            starts at 0; or `"none"`, where W_z starts at 0.
        use_bias: Whether the projections have biases.
        kernel_initializer: Initializer of the kernels, but for a W_z that starts at 0.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the weights f / C, float32, have shape (B, 1, H W, K): the query's place and
        the key's, row by row. K is H W, or the number of pooled places.

    Raises:
        ValueError: Where an argument is out of its range, or `C // ratio` is 0.

    Example:

    >>> layer = keras_attn.layers.NonLocal2D(sub_sample=True)
    >>> y, attention = layer(np.ones((2, 4, 6, 32), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([2, 4, 6, 32]), TensorShape([2, 1, 24, 6]))
    """

    attention_form = "map"
    starts_as = "identity"

    def __init__(
        self,
        ratio: int = 2,
        *,
        mode: str = "embedded_gaussian",
        intermediate_filters: int | None = None,
        value_ratio: int | None = None,
        sub_sample: bool = False,
        scale: str = "batch_norm",
        use_bias: bool = True,
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
        self.mode = check_choice("mode", mode, MODES)
        if intermediate_filters is not None:
            check_positive_int("intermediate_filters", intermediate_filters)
        self.intermediate_filters = intermediate_filters
        self.value_ratio = (
            None if value_ratio is None else check_positive_int("value_ratio", value_ratio)
        )
        self.sub_sample = sub_sample
        self.scale = check_choice("scale", scale, SCALES)
        self.use_bias = use_bias

    def build(self, input_shape: Shape) -> None:
        """Makes the projections for C channels."""
        channels = self._channels(input_shape)
        filters = self.intermediate_filters or bottleneck_width(channels, self.ratio, input_shape)
        values = filters
        if self.value_ratio is not None:
            values = bottleneck_width(channels, self.value_ratio, input_shape, name="value_ratio")

        # `call` has channels last inside: 1x1 convolutions are products there.
        # All of it: the weights of a dot product don't sum to 1, and y is beyond float16's range.
        exact = {"dtype": self.attention_policy}
        bias = {"use_bias": self.use_bias}
        shape = (None, None, None, channels)
        if self.mode != "gaussian":
            self.theta = built(self._dense("theta", filters, **bias, **exact), shape)
            self.phi = built(self._dense("phi", filters, **bias, **exact), shape)
        if self.mode == "concatenation":
            inner_shape = (None, None, filters)
            plain = {"use_bias": False, **exact}
            self.theta_weight = built(self._dense("theta_weight", 1, **plain), inner_shape)
            self.phi_weight = built(self._dense("phi_weight", 1, **plain), inner_shape)
        self.g = built(self._dense("g", values, **bias, **exact), shape)
        zero = {"kernel_initializer": "zeros"} if self.scale == "none" else {}
        z = self._dense("z", channels, **bias, **exact, **zero)
        self.z = built(z, (None, None, None, values))
        if self.scale == "batch_norm":
            options = {"data_format": "channels_last", "gamma_initializer": "zeros", **exact}
            self.bn = built(self._batch_norm("bn", **options), shape)
        elif self.scale == "scalar":
            self.gamma = self.add_weight(
                name="gamma", shape=(), initializer="zeros", autocast=False
            )
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the input plus what it gathered, or `(outputs, attention)`."""
        x = ops.cast(inputs, self.attention_dtype)
        if self.data_format == "channels_first":
            x = ops.transpose(x, (0, 2, 3, 1))
        theta, phi = (x, x) if self.mode == "gaussian" else (self.theta(x), self.phi(x))
        g = self.g(x)  # (B, H, W, c)
        if self.sub_sample:
            phi, g = ceil_max_pool(phi, 2, 2), ceil_max_pool(g, 2, 2)

        theta, phi, g = _places(theta), _places(phi), _places(g)  # (B, M or K, c)
        attention = self._attention(theta, phi)
        y = ops.matmul(attention, g)  # (B, M, c)
        _, height, width, _ = ops.shape(x)
        y = self.z(ops.reshape(y, (-1, height, width, y.shape[-1])))  # (B, H, W, C)
        if self.scale == "batch_norm":
            y = self.bn(y, training=training)
        elif self.scale == "scalar":
            y = ops.multiply(y, self.gamma)
        if self.data_format == "channels_first":
            y = ops.transpose(y, (0, 3, 1, 2))
        outputs = ops.cast(ops.add(y, ops.cast(inputs, y.dtype)), self.compute_dtype)
        return (outputs, attention[:, None]) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, 1, H W, K)."""
        size, keys = self._spatial(input_shape), self._shown_size(input_shape)
        counts = (None if None in (h, w) else h * w for h, w in (size, keys))
        return (input_shape[0], 1, *counts)

    def attention_by_place(
        self,
        attention: Any,
        output_shape: tuple[Any, ...],
        query: tuple[int, int] | None = None,
    ) -> Any:
        """What each place receives or the query pays, on the keys' grid: (B, h, w)."""
        if query is None or not self.sub_sample:
            return super().attention_by_place(attention, output_shape, query)
        size = self._shown_size(output_shape)
        row, column = check_query(query, size)
        # (B, H, W, K), of which the pool's window of queries.
        by_query = ops.reshape(attention, (-1, *self._spatial(output_shape), attention.shape[-1]))
        window = by_query[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        return ops.reshape(ops.mean(window, axis=(1, 2)), (-1, *size))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "mode": self.mode,
            "intermediate_filters": self.intermediate_filters,
            "value_ratio": self.value_ratio,
            "sub_sample": self.sub_sample,
            "scale": self.scale,
            "use_bias": self.use_bias,
        }

    def _shown_size(self, output_shape: tuple[Any, ...]) -> tuple[Any, Any]:
        height, width = self._spatial(output_shape)
        if not self.sub_sample:
            return height, width
        return ceil_pooled_length(height, 2, 2), ceil_pooled_length(width, 2, 2)

    def _attention(self, theta: Tensor, phi: Tensor) -> Tensor:
        if self.mode == "concatenation":
            return concatenation_weights(self.theta_weight(theta), self.phi_weight(phi))
        return pairwise_weights(theta, phi, self.mode)


def _places(x: Tensor) -> Tensor:
    """(B, H, W, c) -> (B, H W, c)."""
    _, height, width, channels = ops.shape(x)
    return ops.reshape(x, (-1, height * width, channels))
