"""Attention to scale of Chen et al., CVPR 2016: which scale of the image each place believes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_odd, check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_choice
from keras_attn.layers.building_blocks.resize import resize_bilinear
from keras_attn.layers.contract import Form
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor

MODES = ("attention", "average", "max")


def fused(scores: Tensor, weights: Tensor) -> Tensor:
    """The scales' scores, weighted: sum_s w_s f_s.

    Args:
        scores: (B, h, w, S, K).
        weights: (B, h, w, S), or what broadcasts to it.

    Returns:
        (B, h, w, K).
    """
    return ops.sum(scores * ops.expand_dims(weights, -1), axis=-2)


@keras.saving.register_keras_serializable(package="keras_attn")
class ScaleAttention(ComposedAttentionLayer):
    """Fuses what a network says of an image at several scales, by attention or without.

    [Chen et al., "Attention to Scale: Scale-aware Semantic Image Segmentation", CVPR 2016](
    https://arxiv.org/abs/1511.03339). One network gives features v_s and scores f_s of the image at
    S sizes; all are resized to the first pair's. Then, for each place,

        w = softmax_s(Conv1x1_S(ReLU(Conv3x3_512([v_1 .. v_S]))))
        g = sum_s w_s f_s

    with one weight for each scale, the same for all classes. Its rivals are w = 1 / S and, for each
    class by itself, the largest score. Resizing is bilinear with half-pixel centres. Weights and
    sum are float32 (or wider) under 16-bit policies.

    Args:
        units: Positive integer, the filters of the first convolution.
        kernel_size: Positive odd integer, its kernel's side.
        mode: `"attention"`, `"average"` or `"max"`; the latter two have no weights.
        dropout: Rate between the two convolutions.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        features: List of S tensors (B, h_s, w_s, C_s); the finest scale first, by whose size all
            are fused.
        scores: List of S tensors (B, h_s, w_s, K), in the same order.
        return_attention: Whether to return `(outputs, attention)`; in the mode `"attention"` only.

    Input shape:
        Two lists of images, channels second if `channels_first`.

    Output shape:
        (B, h_1, w_1, K); the attention, float32, has shape (B, h_1, w_1, S). A picture of it shows
        the first scale's weight, or another's by `explain(..., head=s)`.

    Raises:
        ValueError: Where an argument is out of its range, the lists differ in length or are empty,
            the scores differ in classes, or the attention is asked for where there is none.

    Example:

    >>> layer = keras_attn.layers.ScaleAttention(units=16)
    >>> features = [np.ones((2, side, side, 8), "float32") for side in (6, 3)]
    >>> scores = [np.ones((2, side, side, 5), "float32") for side in (6, 3)]
    >>> y, attention = layer(features, scores, return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([2, 6, 6, 5]), TensorShape([2, 6, 6, 2]))
    """

    def __init__(
        self,
        units: int = 512,
        kernel_size: int = 3,
        mode: str = "attention",
        *,
        dropout: float = 0.0,
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
        self.input_spec = None
        self.units = check_positive_int("units", units)
        self.kernel_size = check_odd("kernel_size", kernel_size)
        self.mode = check_choice("mode", mode, MODES)
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be from 0 to below 1. Received: dropout={dropout!r}")
        self.dropout = dropout

    @property
    def attention_form(self) -> Form | None:  # type: ignore[override]
        """A gate of places for each scale, where there is attention."""
        return "place_gate" if self.mode == "attention" else None

    def build(self, features_shape: Sequence[Shape], scores_shape: Sequence[Shape]) -> None:
        """Makes the convolutions for what S scales have in channels."""
        self._check(features_shape, scores_shape)
        if self.mode == "attention":
            channels = sum(self._channels(shape) for shape in features_shape)
            wide: dict[str, Any] = {"dtype": self.attention_policy}
            hidden = self._conv2d(
                "hidden", self.units, self.kernel_size, padding="same", activation="relu", **wide
            )
            self.hidden = built(hidden, self._image_shape(None, (None, None), channels))
            self.drop = keras.layers.Dropout(self.dropout, name="drop", **wide)
            logits = self._conv2d("logits", len(features_shape), **wide)
            self.logits = built(logits, self._image_shape(None, (None, None), self.units))
        self.built = True

    def call(
        self,
        features: Sequence[Tensor],
        scores: Sequence[Tensor],
        training: bool | None = None,
        return_attention: bool = False,
    ) -> Any:
        """Returns the fused scores, or `(outputs, attention)`."""
        size = self._spatial(ops.shape(scores[0]))
        each = [self._resized(score, size) for score in scores]
        if return_attention and self.mode != "attention":
            raise ValueError(_no_attention(self.mode))
        if self.mode == "max":
            return ops.cast(ops.max(ops.stack(each), axis=0), self.compute_dtype)
        stacked = ops.stack([self._to_last(score) for score in each], axis=-2)  # (B, h, w, S, K)
        if self.mode == "average":
            weights = ops.full((1, 1, 1, len(each)), 1 / len(each), dtype=self.attention_dtype)
        else:
            together = [self._resized(feature, size) for feature in features]
            hidden = self.hidden(ops.concatenate(together, axis=self.channel_axis))
            logits = self.logits(self.drop(hidden, training=training))
            weights = ops.softmax(self._to_last(logits), axis=-1)  # (B, h, w, S)
        outputs = ops.cast(self._from_last(fused(stacked, weights)), self.compute_dtype)
        return (outputs, self._from_last(weights)) if return_attention else outputs

    def _resized(self, x: Tensor, size: tuple[Any, Any]) -> Tensor:
        x = self._wide(x)
        if self._spatial(tuple(x.shape)) == size:
            return x
        return resize_bilinear(x, size, False, self.data_format)

    def attention_by_place(
        self,
        attention: Any,
        output_shape: tuple[Any, ...],
        query: tuple[int, int] | None = None,
    ) -> Any:
        """The weight of the first scale that is given, (B, h, w): the mean over all is 1 / S."""
        return self._to_last(attention)[..., 0]

    def compute_output_spec(  # type: ignore[override]
        self,
        features: Sequence[keras.KerasTensor],
        scores: Sequence[keras.KerasTensor],
        training: bool | None = None,
        return_attention: bool = False,
    ) -> Any:
        """The symbolic output, or `(output, attention)`."""
        shapes = [tuple(x.shape) for x in features], [tuple(x.shape) for x in scores]
        output = keras.KerasTensor(self.compute_output_shape(*shapes), self.compute_dtype)
        if not return_attention:
            return output
        shape = self.compute_attention_shape(*shapes)
        return output, keras.KerasTensor(shape, self.attention_dtype)

    def compute_output_shape(  # type: ignore[override]
        self, features_shape: Sequence[Shape], scores_shape: Sequence[Shape]
    ) -> Shape:
        """As the first scale's scores."""
        self._check(features_shape, scores_shape)
        return tuple(scores_shape[0])

    def compute_attention_shape(  # type: ignore[override]
        self, features_shape: Sequence[Shape], scores_shape: Sequence[Shape]
    ) -> Shape:
        """(B, h_1, w_1, S)."""
        if self.mode != "attention":
            raise ValueError(_no_attention(self.mode))
        first = tuple(scores_shape[0])
        return self._image_shape(first[0], self._spatial(first), len(scores_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_size": self.kernel_size,
            "mode": self.mode,
            "dropout": self.dropout,
        }

    def _check(self, features_shape: Sequence[Any], scores_shape: Sequence[Any]) -> None:
        for name, shapes in (("features", features_shape), ("scores", scores_shape)):
            if not shapes or not all(isinstance(shape, list | tuple) for shape in shapes):
                raise ValueError(
                    f"`{name}` must be a list of images, one for each scale. "
                    f"Received: {name} with shape {shapes}"
                )
            if any(len(shape) != 4 for shape in shapes):
                raise ValueError(
                    f"`{name}` must be images of four axes. Received: {name} with shapes "
                    f"{[tuple(shape) for shape in shapes]}"
                )
        if len(features_shape) != len(scores_shape):
            raise ValueError(
                "`features` and `scores` must be as many, one of each for a scale. "
                f"Received: {len(features_shape)} features, {len(scores_shape)} scores"
            )
        classes = [self._channels(shape) for shape in scores_shape]
        if len(set(classes)) > 1:
            raise ValueError(
                f"`scores` must have as many classes at each scale. Received: {classes} classes"
            )


def _no_attention(mode: str) -> str:
    return (
        "`return_attention` must be False unless `mode` is 'attention'. "
        f"Received: return_attention=True, mode={mode!r}"
    )
