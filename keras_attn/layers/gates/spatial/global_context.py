"""The global context block (Cao et al., ICCVW 2019)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_choice
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.layers.self_attention._softmax import softmax_places
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class GlobalContext(ComposedAttentionLayer):
    """The global context block of GCNet: one attention map, one context for all places.

    [Cao et al., "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond"](
    https://arxiv.org/abs/1904.11492), equation 5:

        a = softmax over places of conv1x1(x)        # (B, H, W, 1)
        c = sum over places of a x                   # (B, C)
        t = W2 relu(ln(W1 c + b1)) + b2              # (B, C)
        y = x + t   ("add", the paper's),   or x sigmoid(t)   ("scale")

    The paper's block is the default. timm's `GlobalContext` has ratio 8 and scales by default;
    its `"gca"` is ratio 8 with `fusion="add"`. Where it adds, W2 starts at 0: a fresh block is
    the identity.

    All but the output is computed in float32 (or wider) under 16-bit policies.

    Args:
        ratio: Positive integer r; the MLP has `C // ratio` channels inside.
        fusion: `"add"` or `"scale"`.
        epsilon: The layer normalization's epsilon; timm's is 1e-6.
        kernel_initializer: Initializer of the kernels, but for W2 where it starts at 0.
        kernel_regularizer: Regularizer of all kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the attention, float32, has shape (B, H, W, 1) and its places sum to 1.

    Raises:
        ValueError: Where an argument is out of its range, or `C // ratio` is 0.

    Example:

    >>> layer = keras_attn.layers.GlobalContext(ratio=8)
    >>> y, attention = layer(np.ones((2, 4, 5, 32), "float32"), return_attention=True)
    >>> y.shape, attention.shape, round(float(attention[0, 0, 0, 0]), 3)
    (TensorShape([2, 4, 5, 32]), TensorShape([2, 4, 5, 1]), 0.05)
    """

    attention_form = "place_gate"

    def __init__(
        self,
        ratio: int = 16,
        *,
        fusion: str = "add",
        epsilon: float = 1e-6,
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
        self.fusion = check_choice("fusion", fusion, ("add", "scale"))
        self.starts_as = "identity" if self.fusion == "add" else "gate"  # W2 starts at 0
        self.epsilon = epsilon

    def build(self, input_shape: Shape) -> None:
        """Makes the attention's convolution and the MLP for C channels."""
        channels = self._channels(input_shape)
        width = bottleneck_width(channels, self.ratio, input_shape)
        exact = {"dtype": self.attention_policy}
        zero = {"kernel_initializer": "zeros"} if self.fusion == "add" else {}
        norm = keras.layers.LayerNormalization(epsilon=self.epsilon, name="ln", **exact)
        self.logit = built(self._conv2d("logit", 1, **exact), input_shape)
        self.reduce = built(self._dense("reduce", width, **exact), (None, channels))
        self.ln = built(norm, (None, width))
        self.expand = built(self._dense("expand", channels, **exact, **zero), (None, width))
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the map with its context, or `(outputs, attention)`."""
        logits = self.logit(inputs)  # (B, H, W, 1)
        height, width = self._spatial(ops.shape(logits))
        attention = softmax_places(ops.reshape(logits, (-1, height * width)))
        # One channel: both data formats have the places in the same order.
        attention = ops.reshape(attention, self._image_shape(-1, (height, width), 1))
        weighted = ops.multiply(ops.cast(inputs, self.attention_dtype), attention)
        context = ops.sum(weighted, axis=self.spatial_axes)  # (B, C)

        context = self.expand(ops.relu(self.ln(self.reduce(context))))
        context = ops.expand_dims(context, self.spatial_axes)  # (B, 1, 1, C)
        if self.fusion == "add":
            # Not ops.add: on TensorFlow a tensor that is broadcast may pass for a bias of another
            # axis. In the context's dtype, as in `_gated`.
            outputs = ops.cast(ops.cast(inputs, context.dtype) + context, self.compute_dtype)
        else:
            gate = ops.sigmoid(context)
            outputs = self._gated(inputs, gate)
        return (outputs, attention) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, 1)."""
        return self._image_shape(input_shape[0], self._spatial(input_shape), 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "fusion": self.fusion,
            "epsilon": self.epsilon,
        }
