"""The attention module of the Residual Attention Network (Wang et al., CVPR 2017)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_non_negative_int, check_positive_int
from keras_attn.layers._base import AttentionLayer, clone_initializer
from keras_attn.layers._validation import check_choice
from keras_attn.layers.building_blocks.ceil_max_pooling2d import (
    ceil_max_pool,
    ceil_pooled_length,
    padded_max_pool,
)
from keras_attn.layers.building_blocks.resize import resize_bilinear
from keras_attn.layers.residual_attention.inception_unit import InceptionResNetUnit
from keras_attn.layers.residual_attention.residual_units import (
    PreActivationBottleneck,
    ResNeXtBottleneck,
    batch_norm,
)
from keras_attn.typing import Initializer, Shape, Tensor

UNITS = {
    "pre_activation": PreActivationBottleneck,
    "resnext": ResNeXtBottleneck,
    "inception": InceptionResNetUnit,
}

# The paper gives no epsilon for f2 and f3; these are ours.
CHANNEL_EPSILON = 1e-12
SPATIAL_EPSILON = 1e-5


def mask_activation(x: Tensor, attention: str, data_format: str = "channels_last") -> Tensor:
    """The mask from its logits: f1, f2 or f3 of the paper's section 3.2.

    Args:
        x: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        attention: `"mixed"` is f1, a sigmoid of each value. `"channel"` is f2, the values of a
            place over their L2 norm across channels (signed, no sigmoid). `"spatial"` is f3, a
            sigmoid of each channel's map after it is brought to mean 0 and deviation 1.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        Tensor of x's shape.
    """
    if attention == "mixed":
        return ops.sigmoid(x)
    if attention == "channel":
        axis = -1 if data_format == "channels_last" else 1
        norm_squared = ops.sum(ops.square(x), axis=axis, keepdims=True)
        return ops.multiply(x, ops.rsqrt(ops.add(norm_squared, CHANNEL_EPSILON)))
    axes = (1, 2) if data_format == "channels_last" else (2, 3)
    centred = ops.subtract(x, ops.mean(x, axis=axes, keepdims=True))
    variance = ops.mean(ops.square(centred), axis=axes, keepdims=True)
    return ops.sigmoid(ops.multiply(centred, ops.rsqrt(ops.add(variance, SPATIAL_EPSILON))))


@keras.saving.register_keras_serializable(package="keras_attn")
class AttentionModule(AttentionLayer):
    """The attention module of the Residual Attention Network: a trunk and a soft mask over it.

    [Wang et al., "Residual Attention Network for Image Classification", CVPR 2017](
    https://arxiv.org/abs/1704.06904), in the details the authors' prototxts:

        P = p units of x
        T = t units of P                                    # trunk
        M = mask of P                                       # as large as T
        y = p units of (1 + M) T     ("residual"),   or of M T     ("naive")

    The mask goes `mask_depth` times down, each time by a 3x3 max pool of stride 2 (Caffe's ceil
    mode) and r units, 2 r at the bottom; then as often up, each time by bilinear interpolation
    with aligned corners to the size of the matching tensor, the sum with one skip unit of it, and
    r units. Its head is BN-ReLU-1x1-BN-ReLU-1x1 and the mask's activation. Any H and W will do:
    sizes are taken from the tensors, and at 1x1 pooling stops.

    The prototxts have r = 1 only: that the bottom has 2 r units and each step up r is the
    reading that extends them. The mask is computed in float32 (or wider) under 16-bit policies.

    Args:
        mask_depth: Integer of at least 0, how often the mask goes down and up. The prototxts have
            3, 2 and 1 at maps of 56, 28 and 14; 0 is the paper's mask of local convolutions.
        p: Integer of at least 0, units before the split and again after the mask is applied.
        t: Positive integer, units of the trunk.
        r: Positive integer, units between two poolings of the mask.
        attention: `"mixed"`, `"channel"` or `"spatial"`, the mask's activation; see
            `mask_activation`.
        learning: `"residual"` or `"naive"`.
        unit: `"pre_activation"`, `"resnext"`, `"inception"` (see `InceptionResNetUnit`), or a
            factory of the caller's own, called afresh for every place as
            `unit(filters, name=..., dtype=...)`. It returns a layer that keeps the shape. It must
            be registered by `keras.saving.register_keras_serializable`.
        mask_pre_activation: Whether BN-ReLU comes before the head's first 1x1 convolution; `None`
            means yes, but for `unit="resnext"`, as in the prototxts, and for `"inception"`.
        mask_pooling: `"ceil"`, the prototxts' pools, or `"padded"`: by one pixel on every side,
            as in reproductions in PyTorch.
        add_targets: Whether to an upsampled map is added the tensor whose size it takes (at the
            end the trunk's output), besides that tensor's skip unit. The prototxts don't;
            reproductions that took Caffe's `Interp` of two inputs for a sum do.
        kernel_initializer: Initializer of the convolutions (not of a factory's).
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, mask)`.

    Input shape:
        (B, H, W, C), any H and W; C must suit the unit (divisible by 4 or by 64).

    Output shape:
        As the input; the mask, float32, likewise.

    Raises:
        ValueError: Where an argument is out of its range, or a factory's unit changes the shape.

    Example:

    >>> layer = keras_attn.layers.AttentionModule(mask_depth=2)
    >>> y, mask = layer(np.ones((1, 9, 7, 16), "float32"), return_attention=True)
    >>> y.shape, mask.shape
    (TensorShape([1, 9, 7, 16]), TensorShape([1, 9, 7, 16]))
    """

    attention_form = "mask"
    starts_as = "new_map"

    def __init__(
        self,
        *,
        mask_depth: int = 2,
        p: int = 1,
        t: int = 2,
        r: int = 1,
        attention: str = "mixed",
        learning: str = "residual",
        unit: str | Callable[..., keras.layers.Layer] = "pre_activation",
        mask_pre_activation: bool | None = None,
        mask_pooling: str = "ceil",
        add_targets: bool = False,
        kernel_initializer: Initializer = "he_normal",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.mask_depth = check_non_negative_int("mask_depth", mask_depth)
        self.p = check_non_negative_int("p", p)
        self.t = check_positive_int("t", t)
        self.r = check_positive_int("r", r)
        self.attention = check_choice("attention", attention, ("mixed", "channel", "spatial"))
        self.learning = check_choice("learning", learning, ("residual", "naive"))
        self.unit = _check_unit(unit)
        self.mask_pre_activation = mask_pre_activation
        self.mask_pooling = check_choice("mask_pooling", mask_pooling, ("ceil", "padded"))
        self.add_targets = add_targets
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Shape) -> None:
        """Makes all units for C channels."""
        channels = self._channels(input_shape)

        def units(name: str, number: int, shape: Shape) -> list[keras.layers.Layer]:
            dtype = self.attention_policy if name.startswith("mask") else self.dtype_policy
            names = [f"{name}{i + 1}" for i in range(number)]
            return [self._make_unit(each, channels, shape, dtype) for each in names]

        shapes = [tuple(input_shape)]  # of the trunk, then of each level of the mask
        for _ in range(self.mask_depth):
            size = (ceil_pooled_length(side, 3, 2) for side in self._spatial(shapes[-1]))
            shapes.append(self._image_shape(input_shape[0], tuple(size), channels))
        bottom = self.mask_depth

        self.pre_units = units("pre_unit", self.p, shapes[0])
        self.trunk_units = units("trunk_unit", self.t, shapes[0])
        self.post_units = units("post_unit", self.p, shapes[0])
        # Level 0 is the trunk's size; a mask of depth 0 has its bottom there.
        self.mask_down_units, self.mask_skip_units, self.mask_up_units = [], [], []
        for level in range(1, bottom):
            self.mask_down_units += units(f"mask_down{level}_unit", self.r, shapes[level])
            self.mask_skip_units += units(f"mask_skip{level}_unit", 1, shapes[level])
            self.mask_up_units += units(f"mask_up{level}_unit", self.r, shapes[level])
        self.mask_bottom_units = units("mask_bottom_unit", 2 * self.r, shapes[bottom])

        self.mask_bn1 = None
        if self._has_mask_pre_activation:
            self.mask_bn1 = self._build(self._mask_norm("mask_bn1"), shapes[0])
        self.mask_conv1 = self._build(self._conv1x1("mask_conv1", channels), shapes[0])
        self.mask_bn2 = self._build(self._mask_norm("mask_bn2"), shapes[0])
        self.mask_conv2 = self._build(self._conv1x1("mask_conv2", channels), shapes[0])
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the attended map, or `(outputs, mask)`."""
        x = _apply(self.pre_units, inputs, training)  # P
        trunk = _apply(self.trunk_units, x, training)  # T
        mask = self._mask(x, trunk, training)  # M
        weight = ops.add(mask, 1) if self.learning == "residual" else mask
        outputs = ops.multiply(trunk, ops.cast(weight, self.compute_dtype))
        outputs = _apply(self.post_units, outputs, training)
        return (outputs, mask) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input."""
        return tuple(input_shape)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The mask's, as the input's."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; a factory by the name under which it is registered."""
        unit = self.unit
        return {
            **super().get_config(),
            "mask_depth": self.mask_depth,
            "p": self.p,
            "t": self.t,
            "r": self.r,
            "attention": self.attention,
            "learning": self.learning,
            "unit": unit if isinstance(unit, str) else keras.saving.get_registered_name(unit),
            "mask_pre_activation": self.mask_pre_activation,
            "mask_pooling": self.mask_pooling,
            "add_targets": self.add_targets,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    def _mask(self, x: Tensor, trunk: Tensor, training: bool | None) -> Tensor:
        """The soft mask branch: (B, H, W, C) in, the same in float32 out."""
        x = ops.cast(x, self.attention_dtype)
        pool = ceil_max_pool if self.mask_pooling == "ceil" else padded_max_pool
        r, levels = self.r, range(self.mask_depth - 1)
        sizes = [self._spatial(ops.shape(x))]
        skips = []
        for level in levels:  # down to the last level before the bottom
            x = pool(x, data_format=self.data_format)
            x = _apply(self.mask_down_units[level * r : (level + 1) * r], x, training)
            sizes.append(self._spatial(ops.shape(x)))
            skip = self.mask_skip_units[level](x, training=training)
            skips.append(ops.add(skip, x) if self.add_targets else skip)
        if self.mask_depth > 0:
            x = pool(x, data_format=self.data_format)
        x = _apply(self.mask_bottom_units, x, training)
        for level in reversed(levels):
            x = resize_bilinear(x, sizes[level + 1], data_format=self.data_format)
            x = ops.add(x, skips[level])
            x = _apply(self.mask_up_units[level * r : (level + 1) * r], x, training)
        if self.mask_depth > 0:
            x = resize_bilinear(x, sizes[0], data_format=self.data_format)
            x = ops.add(x, ops.cast(trunk, x.dtype)) if self.add_targets else x

        if self.mask_bn1 is not None:
            x = ops.relu(self.mask_bn1(x, training=training))
        x = self.mask_conv1(x)
        x = self.mask_conv2(ops.relu(self.mask_bn2(x, training=training)))
        return mask_activation(x, self.attention, self.data_format)

    @property
    def _has_mask_pre_activation(self) -> bool:
        if self.mask_pre_activation is None:
            return self.unit not in ("resnext", "inception")
        return self.mask_pre_activation

    def _make_unit(
        self, name: str, filters: int, input_shape: Shape, dtype: Any
    ) -> keras.layers.Layer:
        if isinstance(self.unit, str):
            unit = UNITS[self.unit](
                filters,
                kernel_initializer=clone_initializer(self.kernel_initializer),
                data_format=self.data_format,
                name=name,
                dtype=dtype,
            )
        else:
            unit = self.unit(filters, name=name, dtype=dtype)
            if not isinstance(unit, keras.layers.Layer):
                raise ValueError(
                    f"`unit` must return a keras.layers.Layer. Received: unit={self.unit!r}, "
                    f"which returned {unit!r}"
                )
        self._build(unit, input_shape)
        output_shape = tuple(unit.compute_output_shape(input_shape))
        if output_shape != input_shape:
            raise ValueError(
                "`unit` must make layers that keep the shape. "
                f"Received: unit={self.unit!r}, which maps {input_shape} to {output_shape}"
            )
        return unit

    def _conv1x1(self, name: str, filters: int) -> keras.layers.Layer:
        return keras.layers.Conv2D(
            filters,
            1,
            use_bias=False,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            data_format=self.data_format,
            dtype=self.attention_policy,
            name=name,
        )

    def _mask_norm(self, name: str) -> keras.layers.Layer:
        return batch_norm(name, self.data_format, self.attention_policy)

    @staticmethod
    def _build(layer: keras.layers.Layer, input_shape: Shape) -> keras.layers.Layer:
        if not layer.built:
            layer.build(input_shape)
        return layer


def _apply(units: list[keras.layers.Layer], x: Tensor, training: bool | None) -> Tensor:
    for unit in units:
        # Keras takes `training` for a unit that doesn't have it, too, and hands it on. By itself
        # it would do so from `__call__` only: not from `stateless_call`, or a `call` by hand.
        x = unit(x, training=training)
    return x


def _check_unit(unit: Any) -> str | Callable[..., keras.layers.Layer]:
    """Returns a built-in unit's name or a registered factory."""
    if isinstance(unit, str):
        if unit in UNITS:
            return unit
        registered: Callable[..., keras.layers.Layer] | None = keras.saving.get_registered_object(
            unit
        )
        if registered is None:
            listed = ", ".join(repr(name) for name in UNITS)
            raise ValueError(
                f"`unit` must be one of {listed}, a factory, or the name under which one is "
                f"registered. Received: unit={unit!r}"
            )
        return registered
    if not callable(unit):
        raise ValueError(f"`unit` must be a name or a callable. Received: unit={unit!r}")
    name = keras.saving.get_registered_name(unit)
    if keras.saving.get_registered_object(name) is not unit:
        raise ValueError(
            "`unit` must be registered by keras.saving.register_keras_serializable, so that the "
            f"layer can be saved and loaded. Received: unit={unit!r}"
        )
    factory: Callable[..., keras.layers.Layer] = unit
    return factory
