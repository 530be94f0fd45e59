"""Double attention, A2 (Chen et al., NeurIPS 2018)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.layers.self_attention._softmax import softmax_places
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


def gather_and_distribute(features: Tensor, gather: Tensor, distribute: Tensor) -> Tensor:
    """A softmax(B)^T softmax(V) of equation 6, in the order that never makes a map of all pairs.

    Args:
        features: A, (B, M, m).
        gather: n maps, each of which sums to 1 over the places, (B, M, n).
        distribute: For each place n weights that sum to 1, (B, M, n).

    Returns:
        Tensor of shape (B, M, m).
    """
    gathered = ops.matmul(ops.transpose(gather, (0, 2, 1)), features)  # (B, n, m)
    return ops.matmul(distribute, gathered)


@keras.saving.register_keras_serializable(package="keras_attn")
class DoubleAttention(ComposedAttentionLayer):
    """Double attention, the A2 block: gathers features into n vectors, and hands each place a mix.

    [Chen et al., "A2-Nets: Double Attention Networks", NeurIPS 2018](
    https://arxiv.org/abs/1810.11579), equations 2 to 6, with the residual of its figure 1:

        g_k = sum over places j of softmax_j(W_b x)_jk W_a x_j        # n vectors of m channels
        z_i = sum over k of softmax_k(W_v x_i)_k g_k
        y_i = W_z z_i + x_i

    Its cost grows with H W, not with its square. The authors published no code in PyTorch or
    TensorFlow; the layer is the paper's equations. W_z and its bias start at 0, which the paper
    doesn't say: a fresh layer is the identity. All but the output is computed in float32 (or wider)
    under 16-bit policies.

    Args:
        ratio: Positive integer; m and n are `C // ratio`.
        feature_channels: Positive integer m that overrides `C // ratio`.
        attention_maps: Positive integer n that overrides `C // ratio`.
        kernel_initializer: Initializer of the kernels, but for W_z.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, attention)`, the maps that gather.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the attention, float32, has shape (B, H, W, n), and each map sums to 1.

    Raises:
        ValueError: Where an argument is no positive integer, or `C // ratio` is 0.

    Example:

    >>> layer = keras_attn.layers.DoubleAttention()
    >>> y, attention = layer(np.ones((2, 4, 6, 32), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([2, 4, 6, 32]), TensorShape([2, 4, 6, 8]))
    """

    attention_form = "place_gate"
    starts_as = "identity"

    def __init__(
        self,
        ratio: int = 4,
        *,
        feature_channels: int | None = None,
        attention_maps: int | None = None,
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
        self.ratio = check_positive_int("ratio", ratio)
        for name, value in (
            ("feature_channels", feature_channels),
            ("attention_maps", attention_maps),
        ):
            if value is not None:
                check_positive_int(name, value)
        self.feature_channels = feature_channels
        self.attention_maps = attention_maps

    def build(self, input_shape: Shape) -> None:
        """Makes the projections for C channels."""
        channels = self._channels(input_shape)
        features, maps = (
            given or bottleneck_width(channels, self.ratio, input_shape)
            for given in (self.feature_channels, self.attention_maps)
        )
        exact = {"dtype": self.attention_policy}
        self.features, self.gather, self.distribute = (
            built(self._dense(name, units, **exact), (None, None, channels))
            for name, units in (("features", features), ("gather", maps), ("distribute", maps))
        )
        expand = self._dense("expand", channels, **{**exact, "kernel_initializer": "zeros"})
        self.expand = built(expand, (None, None, features))
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the input plus what it was handed, or `(outputs, attention)`."""
        x = self._to_last(self._wide(inputs))
        _, height, width, channels = ops.shape(x)
        x = ops.reshape(x, (-1, height * width, channels))  # (B, M, C)
        gather = softmax_places(ops.transpose(self.gather(x), (0, 2, 1)))
        gather = ops.transpose(gather, (0, 2, 1))  # (B, M, n)
        distribute = softmax_places(self.distribute(x))
        handed = self.expand(gather_and_distribute(self.features(x), gather, distribute))
        outputs = ops.reshape(handed + x, (-1, height, width, channels))
        outputs = ops.cast(self._from_last(outputs), self.compute_dtype)
        if not return_attention:
            return outputs
        attention = ops.reshape(gather, (-1, height, width, gather.shape[-1]))
        return outputs, self._from_last(attention)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, n)."""
        maps = self.attention_maps or self._channels(input_shape) // self.ratio
        return self._image_shape(input_shape[0], self._spatial(input_shape), maps)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "feature_channels": self.feature_channels,
            "attention_maps": self.attention_maps,
        }
