"""The attention proposal of Fu et al., CVPR 2017: which part of an image to enlarge."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import built
from keras_attn.layers._parts import LayerOfParts
from keras_attn.layers._validation import check_channels, check_data_format
from keras_attn.typing import Shape, Tensor


def box_of(proposal: Tensor) -> Tensor:
    """The square that three numbers propose, wherever it lies.

    Args:
        proposal: (B, 3) of t_y, t_x and t_l: the centre and half the side, as parts of the image's
            side, from 0 to 1.

    Returns:
        (B, 4), a box in `BoxCrop2D`'s normalized units.
    """
    centre, half = 2 * proposal[:, :2] - 1, 2 * proposal[:, 2:]
    return ops.concatenate([centre, half, half], axis=-1)


def inside(box: Tensor, min_half: float) -> Tensor:
    """A box moved into the image, after its side was held between two bounds.

    Args:
        box: (B, 4), in normalized units.
        min_half: The least half side, as a part of the image's side.

    Returns:
        (B, 4). What a bound holds has no gradient.
    """
    half = ops.clip(box[:, 2:], 2 * min_half, 1.0)
    return ops.concatenate([ops.clip(box[:, :2], half - 1, 1 - half), half], axis=-1)


@keras.saving.register_keras_serializable(package="keras_attn")
class AttentionProposal(LayerOfParts):
    """Proposes the part of each image that is worth a closer look, as a square.

    The attention proposal network (APN) of Fu et al., "Look Closer to See Better", CVPR 2017:

        t = sigmoid(Dense_3(tanh(Dense_units(flatten(max_pool(features))))))

    are the square's centre and half its side, as parts of the image's side. The side is held
    between `min_half` and the whole image, then the centre is moved so that the box is inside. What
    a bound holds has no gradient: start from a box well within them, as
    `keras_attn.finetune.alternate` does.

    Args:
        units: Width of the first dense layer.
        pool_size: Side of the max pool before it; 1 for none.
        min_half: The least half side, as a part of the image's side, up to 1/2. With 1/3, as in the
            public port, a box has at least two thirds of the side.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        clamp: Whether the box is held inside the image.

    Input shape:
        Features (B, h, w, C), or (B, C, h, w) if `channels_first`; h and w must be known.

    Output shape:
        (B, 4) in `BoxCrop2D`'s normalized units, float32 or wider: centre y, centre x, and half the
        side twice.

    Raises:
        ValueError: If a number isn't a positive integer, `min_half` isn't above 0 and at most 1/2,
            or the features' size is unknown or smaller than the pool.

    Example:

    >>> layer = keras_attn.layers.AttentionProposal()
    >>> layer(np.zeros((1, 28, 28, 512), "float32")).shape, layer.count_params()
    (TensorShape([1, 4]), 102764547)
    """

    def __init__(
        self,
        units: int = 1024,
        pool_size: int = 2,
        *,
        min_half: float = 1 / 3,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})  # boxes need more than 16 bits
        if not 0 < min_half <= 0.5:
            raise ValueError(
                "`min_half` must be above 0 and at most 0.5, half the image's side. "
                f"Received: min_half={min_half!r}"
            )
        self.units = check_positive_int("units", units)
        self.pool_size = check_positive_int("pool_size", pool_size)
        self.min_half = min_half
        self.data_format = check_data_format(data_format)

    def build(self, input_shape: Shape) -> None:
        """Makes the two dense layers."""
        height, width = self._size(input_shape)
        channels = check_channels("AttentionProposal", input_shape, self.data_format)
        values = math.prod((height // self.pool_size, width // self.pool_size, channels))
        dtype: dict[str, Any] = {"dtype": self._dtype}
        hidden = keras.layers.Dense(self.units, activation="tanh", name="hidden", **dtype)
        proposal = keras.layers.Dense(3, activation="sigmoid", name="proposal", **dtype)
        self.hidden = built(hidden, (None, values))
        self.proposal = built(proposal, (None, self.units))

    def call(self, inputs: Tensor, clamp: bool = True) -> Tensor:
        """Returns the boxes."""
        x = ops.cast(inputs, self._dtype)
        if self.data_format == "channels_first":
            x = ops.transpose(x, (0, 2, 3, 1))
        if self.pool_size > 1:
            pool = (self.pool_size, self.pool_size)  # Keras 3.15 on JAX takes no single number
            x = ops.max_pool(x, pool, pool, data_format="channels_last")
        x = ops.reshape(x, (-1, self.hidden.kernel.shape[0]))
        box = box_of(self.proposal(self.hidden(x)))
        return inside(box, self.min_half) if clamp else box

    def compute_output_spec(self, inputs: keras.KerasTensor, clamp: bool = True) -> Any:
        """The symbolic boxes."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), self._dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """A box for each image."""
        self._size(input_shape)
        return (input_shape[0], 4)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "pool_size": self.pool_size,
            "min_half": self.min_half,
            "data_format": self.data_format,
        }

    @property
    def _dtype(self) -> str:
        """Of all that is computed: float32, or wider."""
        return str(keras.backend.result_type(self.compute_dtype, "float32"))

    def _size(self, shape: Shape) -> tuple[int, int]:
        sides = shape[1:3] if self.data_format == "channels_last" else shape[2:4]
        height, width = sides if len(shape) == 4 else (None, None)
        if height is None or width is None or min(height, width) < self.pool_size:
            raise ValueError(
                "`inputs` must be (B, h, w, C) whose h and w are known and at least `pool_size`. "
                f"Received: inputs with shape {tuple(shape)}, pool_size={self.pool_size}"
            )
        return height, width
