"""Class-specific residual attention, CSRA (Zhu and Wu, ICCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._base import clone_initializer
from keras_attn.layers._composed import ComposedAttentionLayer
from keras_attn.layers.self_attention._softmax import softmax_places
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor

MAX = "max"
TINY = 1e-30


def class_attention(scores: Tensor, temperature: float | str) -> Tensor:
    """Weights of the places for each class, (B, K, M), from its scores; each sums to 1.

    The temperature is the authors': scores are multiplied by it. "max" is the greatest alone.
    """
    if temperature != MAX:
        return softmax_places(scores * temperature)
    greatest = ops.equal(scores, ops.max(scores, axis=-1, keepdims=True))
    greatest = ops.cast(greatest, scores.dtype)
    return greatest / ops.sum(greatest, axis=-1, keepdims=True)


@keras.saving.register_keras_serializable(package="keras_attn")
class ClassSpecificResidualAttention(ComposedAttentionLayer):
    """CSRA: a classifier for several labels that looks, for each class, at places of its own.

    [Zhu and Wu, "Residual Attention: A Simple but Effective Method for Multi-Label Recognition",
    ICCV 2021](https://arxiv.org/abs/2108.02456), equations 1 to 8, as the authors' `CSRA` and
    `MHA`. People take it for the Residual Attention Network of Wang et al., CVPR 2017, by its
    title: that is `AttentionModule`. This one is a head, which stands behind the last map of a
    network instead of its pooling and its classifier. For each class k and place i:

        s_ki = m_k . x_i / |m_k|                                  # score
        a_k  = sum over places of softmax_i(T s_ki) s_ki          # T = "max": the greatest score
        y_k  = sum over heads of (mean over places of s_ki + lambda a_k)

    A head has a kernel m and a temperature T. The authors' numbers of heads have these: 1: (1,);
    2: (1, "max"); 4: (1, 2, 4, "max"); 6: (1, 2, 3, 4, 5, "max"); 8: (1, ..., 7, "max"). Their
    code writes 99 for "max". The outputs are logits, one for each class and each for itself: a
    sigmoid belongs behind them. All is computed in float32 (or wider) under 16-bit policies.

    Args:
        classes: Positive integer K.
        temperatures: A head's each: positive numbers, or `"max"`.
        residual_weight: Number, the paper's lambda.
        keepdims: Whether the output has the shape (B, 1, 1, K).
        kernel_initializer: Initializer of the heads' kernels.
        kernel_regularizer: Regularizer of these kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, attention)`, the mean over the heads.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        (B, classes); the attention, float32, has shape (B, H, W, classes), and sums to 1 over the
        places for each class.

    Raises:
        ValueError: If `classes` is no positive integer, or a temperature is neither positive nor
            `"max"`.

    Example:

    >>> layer = keras_attn.layers.ClassSpecificResidualAttention(20, temperatures=(1, "max"))
    >>> y, attention = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([2, 20]), TensorShape([2, 7, 5, 20]))
    """

    attention_form = "place_gate"
    starts_as = "new_map"

    def __init__(
        self,
        classes: int,
        *,
        temperatures: Sequence[float | str] = (1,),
        residual_weight: float = 0.1,
        keepdims: bool = False,
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
        self.classes = check_positive_int("classes", classes)
        self.temperatures = _check_temperatures(temperatures)
        self.residual_weight = residual_weight
        self.keepdims = keepdims

    def build(self, input_shape: Shape) -> None:
        """Makes each head's kernel for C channels."""
        channels = self._channels(input_shape)
        self.kernels = [
            self.add_weight(
                name=f"head{i + 1}_kernel",
                shape=(channels, self.classes),
                initializer=clone_initializer(self.kernel_initializer),
                regularizer=self.kernel_regularizer,
                autocast=False,
            )
            for i in range(len(self.temperatures))
        ]
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the logits, or `(outputs, attention)`."""
        x = self._to_last(self._wide(inputs))
        _, height, width, channels = ops.shape(x)
        x = ops.reshape(x, (-1, height * width, channels))
        logits, attentions = [], []
        for weight, temperature in zip(self.kernels, self.temperatures, strict=True):
            kernel = self._wide(weight)
            squares = ops.sum(ops.square(kernel), axis=0)
            scores = ops.matmul(x, kernel) / ops.sqrt(ops.maximum(squares, TINY))  # (B, M, K)
            scores = ops.transpose(scores, (0, 2, 1))
            attention = class_attention(scores, temperature)
            seen = ops.sum(attention * scores, axis=-1)
            logits.append(ops.mean(scores, axis=-1) + self.residual_weight * seen)  # (B, K)
            attentions.append(attention)
        outputs = ops.cast(sum(logits[1:], start=logits[0]), self.compute_dtype)
        if self.keepdims:
            outputs = ops.expand_dims(outputs, self.spatial_axes)
        if not return_attention:
            return outputs
        attention = sum(attentions[1:], start=attentions[0]) / len(attentions)
        attention = ops.transpose(attention, (0, 2, 1))
        attention = ops.reshape(attention, (-1, height, width, self.classes))
        return outputs, self._from_last(attention)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, classes), or (B, 1, 1, classes)."""
        if self.keepdims:
            return self._image_shape(input_shape[0], (1, 1), self.classes)
        return (input_shape[0], self.classes)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, classes)."""
        return self._image_shape(input_shape[0], self._spatial(input_shape), self.classes)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "temperatures": self.temperatures,
            "residual_weight": self.residual_weight,
            "keepdims": self.keepdims,
        }


def _check_temperatures(temperatures: Any) -> tuple[float | str, ...]:
    given = tuple(temperatures) if isinstance(temperatures, (list, tuple)) else ()
    numbers = [each for each in given if each != MAX]
    if not given or any(isinstance(n, (str, bool)) or not n > 0 for n in numbers):
        raise ValueError(
            "`temperatures` must be one or more positive numbers or 'max'. "
            f"Received: temperatures={temperatures!r}"
        )
    return given
