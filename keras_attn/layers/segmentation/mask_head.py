"""The mask head of Mask R-CNN (He et al., ICCV 2017): a mask for each class, of each region."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_non_negative_int, check_positive_int
from keras_attn.layers._base import clone_initializer
from keras_attn.layers._composed import built
from keras_attn.layers._parts import LayerOfParts
from keras_attn.layers._validation import check_channels, check_data_format
from keras_attn.typing import Initializer, Shape, Tensor


def select_class(maps: Tensor, classes: Tensor) -> Tensor:
    """The map of each region's own class.

    Args:
        maps: (N, h, w, K), as `MaskHead` gives them. With K = 1 they are of any class.
        classes: (N,), numbers of classes from 0 on, without a background; another number, such as
            -1, gives zeros where K is above 1.

    Returns:
        (N, h, w).

    Example:

    >>> maps = np.arange(8.0).reshape(2, 2, 1, 2)
    >>> keras.ops.convert_to_numpy(keras_attn.layers.select_class(maps, [0, 1])).tolist()
    [[[0.0], [2.0]], [[5.0], [7.0]]]
    """
    maps, classes = ops.convert_to_tensor(maps), ops.convert_to_tensor(classes)
    if len(maps.shape) != 4 or len(classes.shape) != 1:
        raise ValueError(
            "`maps` must be (N, h, w, K) and `classes` (N,). "
            f"Received: shapes {tuple(maps.shape)} and {tuple(classes.shape)}"
        )
    if maps.shape[-1] == 1:
        return maps[..., 0]
    own = ops.one_hot(ops.cast(classes, "int32"), maps.shape[-1], dtype="bool")[:, None, None]
    return ops.sum(ops.where(own, maps, ops.zeros_like(maps)), axis=-1)


@keras.saving.register_keras_serializable(package="keras_attn")
class MaskHead(LayerOfParts):
    """Gives a mask of logits for each class, of the features of each region.

    [He et al., "Mask R-CNN", ICCV 2017](https://arxiv.org/abs/1703.06870), the head of the feature
    pyramid: `depth` convolutions 3x3 with ReLU, a deconvolution 2x2 of stride 2 with ReLU, and a
    convolution 1x1 to the classes. Classes don't compete: `ClassMaskCrossentropy` trains the true
    one's mask alone, and `select_class` takes the predicted one's. The paper's regions are cut by
    RoIAlign: `BoxCrop2D(28, antialias=False)` and then a mean over 2x2 is its four samples.

    Args:
        num_classes: Positive integer K, without a background.
        filters: Positive integer, of all but the last convolution.
        depth: Number of the first convolutions.
        class_agnostic: Whether there is one mask, whatever the class.
        kernel_initializer: Initializer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        (N, h, w, C), or (N, C, h, w) if `channels_first`.

    Output shape:
        (N, 2h, 2w, K), or one channel if `class_agnostic`.

    Raises:
        ValueError: If a number is out of its range, or C is unknown.

    Example:

    >>> layer = keras_attn.layers.MaskHead(80)
    >>> layer(np.zeros((1, 14, 14, 256), "float32")).shape, layer.count_params()
    (TensorShape([1, 28, 28, 80]), 2643280)
    """

    def __init__(
        self,
        num_classes: int,
        filters: int = 256,
        *,
        depth: int = 4,
        class_agnostic: bool = False,
        kernel_initializer: Initializer = "he_normal",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = check_positive_int("num_classes", num_classes)
        self.filters = check_positive_int("filters", filters)
        self.depth = check_non_negative_int("depth", depth)
        self.class_agnostic = class_agnostic
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.data_format = check_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Makes the convolutions."""
        channels = check_channels("MaskHead", input_shape, self.data_format)
        options: dict[str, Any] = {"data_format": self.data_format, "dtype": self.dtype_policy}

        def of(channels: int) -> Shape:
            sides = (None, None)
            is_last = self.data_format == "channels_last"
            return (None, *sides, channels) if is_last else (None, channels, *sides)

        def initializer() -> Any:
            return clone_initializer(self.kernel_initializer)

        self.convolutions = []
        for number in range(self.depth):
            convolution = keras.layers.Conv2D(
                self.filters,
                3,
                padding="same",
                activation="relu",
                kernel_initializer=initializer(),
                name=f"conv{number + 1}",
                **options,
            )
            self.convolutions.append(built(convolution, of(self.filters if number else channels)))
        upsample = keras.layers.Conv2DTranspose(
            self.filters,
            2,
            strides=2,
            activation="relu",
            kernel_initializer=initializer(),
            name="upsample",
            **options,
        )
        self.upsample = built(upsample, of(self.filters if self.depth else channels))
        logits = keras.layers.Conv2D(
            1 if self.class_agnostic else self.num_classes,
            1,
            kernel_initializer=initializer(),
            name="logits",
            **options,
        )
        self.logits = built(logits, of(self.filters))
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the logits of the masks."""
        x = inputs
        for convolution in self.convolutions:
            x = convolution(x)
        return self.logits(self.upsample(x))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Twice the sides, and the classes."""
        classes = 1 if self.class_agnostic else self.num_classes
        is_last = self.data_format == "channels_last"
        sides = input_shape[1:3] if is_last else input_shape[2:4]
        twice = tuple(None if side is None else 2 * side for side in sides)
        return (input_shape[0], *twice, classes) if is_last else (input_shape[0], classes, *twice)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "filters": self.filters,
            "depth": self.depth,
            "class_agnostic": self.class_agnostic,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "data_format": self.data_format,
        }
