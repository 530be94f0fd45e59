"""Shuffle attention (Zhang and Yang, ICASSP 2021)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._base import AttentionLayer
from keras_attn.layers._validation import check_groups
from keras_attn.typing import Shape, Tensor

EPSILON = 1e-5  # of the authors' GroupNorm


@keras.saving.register_keras_serializable(package="keras_attn")
class ShuffleAttention(AttentionLayer):
    """Shuffle attention: half of each group has gates of channels, half of places; then a shuffle.

    [Zhang and Yang, "SA-Net: Shuffle Attention for Deep Convolutional Neural Networks", ICASSP
    2021](https://arxiv.org/abs/2102.00240), equations 1 to 4, as the authors' `sa_layer`. The C
    channels are G groups, and a group's are two halves u and v of C / 2G:

        u' = u * sigmoid(w1 mean(u) + b1)        # w1, b1: a number for each channel
        v' = v * sigmoid(w2 gn(v) + b2)          # gn: each channel normalized over its places
        y  = channel_shuffle([u'; v'] of all groups, 2)

    All groups share their weights, 3 C / G of them: w1, b1, w2, b2, and gn's gamma and beta. The
    shuffle brings the first half of all channels between the second half: a fresh layer gives a
    permuted map. The gate is returned in the order of the input's channels.
    It is computed in float32 (or wider) under 16-bit policies.

    Args:
        groups: Positive integer G.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, gate)`.

    Input shape:
        (B, H, W, C), any H and W; C is divisible by 2 G.

    Output shape:
        As the input; the gate, float32, likewise.

    Raises:
        ValueError: If `groups` is no positive integer, or C isn't divisible by `2 * groups`.

    Example:

    >>> layer = keras_attn.layers.ShuffleAttention(groups=4)
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, layer.count_params()
    (TensorShape([2, 7, 5, 32]), 24)
    """

    attention_form = "mask"
    starts_as = "new_map"

    def __init__(self, groups: int = 64, *, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.groups = check_positive_int("groups", groups)

    def build(self, input_shape: Shape) -> None:
        """Makes the weights that all groups share."""
        channels = self._channels(input_shape)
        half = check_groups(self.groups, channels, input_shape, of_each=2) // 2

        def weight(name: str, initializer: str) -> Any:
            return self.add_weight(
                name=name, shape=(half,), initializer=initializer, autocast=False
            )

        self.channel_scale = weight("channel_scale", "zeros")
        self.channel_shift = weight("channel_shift", "ones")
        self.spatial_scale = weight("spatial_scale", "zeros")
        self.spatial_shift = weight("spatial_shift", "ones")
        self.gamma, self.beta = weight("gamma", "ones"), weight("beta", "zeros")
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated and shuffled map, or `(outputs, gate)`."""
        x = self._to_last(self._wide(inputs))  # (B, H, W, C)
        _, height, width, channels = ops.shape(x)
        # A group's halves are a few channels each: so the map stays whole, and each channel has the
        # slope and the shift of its half, with w1 mean(u) in the shift of u.
        means = ops.mean(x, axis=(1, 2), keepdims=True)
        centred = x - means
        variances = ops.mean(ops.square(centred), axis=(1, 2), keepdims=True)
        weights = (self.channel_scale, self.channel_shift, self.spatial_scale, self.spatial_shift)
        w1, b1, w2, b2 = (self._wide(weight) for weight in weights)
        gamma, beta = self._wide(self.gamma), self._wide(self.beta)
        zeros = ops.zeros_like(w1)
        slope = self._of_all(zeros, w2 * gamma) * ops.rsqrt(variances + EPSILON)
        shift = self._of_all(w1, zeros) * means + self._of_all(b1, w2 * beta + b2)
        gate = ops.sigmoid(centred * slope + shift)

        outputs = ops.reshape(x * gate, (-1, height, width, 2, channels // 2))
        outputs = ops.transpose(outputs, (0, 1, 2, 4, 3))
        outputs = ops.reshape(outputs, (-1, height, width, channels))
        outputs = ops.cast(self._from_last(outputs), self.compute_dtype)
        return (outputs, self._from_last(gate)) if return_attention else outputs

    def _of_all(self, of_u: Tensor, of_v: Tensor) -> Tensor:
        """What the channels of a group's halves have, for all channels: (C,)."""
        return ops.tile(ops.concatenate([of_u, of_v]), (self.groups,))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input."""
        return tuple(input_shape)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: as the input's."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "groups": self.groups}
