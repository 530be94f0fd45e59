"""The augmentations: their strengths, and Keras's layers among them."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_attn.data.batches.boxes import RESIZED_CROP_AREA, RESIZED_CROP_ASPECT
from keras_attn.typing import Size, Tensor

# "crop": zero pixels added on each side before the old size is cut out. The CIFAR recipe of
# "Deep Residual Learning" (He et al. 2015, section 4.2), of SE and of Residual Attention.
CROP_PADDING = 4

# Keras's layers take a whole batch; what mixes images is in `batches/mixing.py`. The strengths are
# the papers'; where Keras's layer does something else than the paper, the comment says so.
KERAS_LAYERS: dict[str, tuple[type[keras.Layer], dict[str, Any]]] = {
    # "RandAugment" (Cubuk et al. 2019), ImageNet: 2 operations of strength 9 of 30. Keras draws
    # the operations once for the whole batch, the strength of each up to `factor`; its largest
    # strengths are its own (a turn of `factor` times 360 degrees).
    "randaugment": (keras.layers.RandAugment, {"num_ops": 2, "factor": 0.3}),
    # "Random Erasing Data Augmentation" (Zhong et al. 2017), CIFAR: half the images, 2 % to
    # 40 % of the area. Keras draws height and width by themselves, and fills with clipped
    # normal noise, where the paper bounds the aspect and fills with uniform noise.
    "random_erasing": (keras.layers.RandomErasing, {"factor": (0.5, 0.5), "scale": (0.02, 0.4)}),
}
_WITH_VALUE_RANGE = ("randaugment", "random_erasing")


def resized_crop_sides(uniform: Any, height: Size, width: Size) -> tuple[Any, Any]:
    """The sides of the parts that "random_resized_crop" draws; one above 1 sticks out.

    Of images that have the network's size already. Differs from that of photographs (`boxes.py`):
    a part that sticks out is made smaller where others draw again, and sizes are not rounded.

    Args:
        uniform: Four numbers from 0 to 1 for each of B images: `(4, B)`, NumPy's or TensorFlow's.
        height: Height of the images.
        width: Width of the images.

    Returns:
        Height and width of each part, as shares of the image's: `(B,)` each.
    """
    (least, most), (narrow, wide) = RESIZED_CROP_AREA, RESIZED_CROP_ASPECT
    area = least + (most - least) * uniform[0]
    aspect = narrow * (wide / narrow) ** uniform[1] * (height / width)
    return (area / aspect) ** 0.5, (area * aspect) ** 0.5


def resized_crop_boxes(uniform: Any, tall: Any, broad: Any) -> tuple[Any, Any, Any, Any]:
    """The parts that "random_resized_crop" cuts out, as shares of the image's sides.

    Args:
        uniform: The same four numbers.
        tall: Height of each part, at most 1: `(B,)`.
        broad: Width of each part, at most 1: `(B,)`.

    Returns:
        `top`, `left`, `bottom`, `right`: `(B,)` each, from 0 to 1.
    """
    top, left = uniform[2] * (1.0 - tall), uniform[3] * (1.0 - broad)
    return top, left, top + tall, left + broad


class KerasAugmentation:
    """Keras's augmentation layers, with a seed for each batch instead of a state.

    The layers work on float32 images `(B, H, W, C)` with values 0..255 and on labels
    `(B, classes)`. One object is for one thread at a time.

    Args:
        augment: Checked names, of which those that are not Keras's layers are passed over.
    """

    def __init__(self, augment: Sequence[str]) -> None:
        self._layers: dict[str, Any] = {}
        if not set(augment) & set(KERAS_LAYERS):
            return  # without variables: tf.distribute's data functions may not make any
        self._seeds = GivenSeeds()
        for name in augment:
            if name in KERAS_LAYERS:
                cls, arguments = KERAS_LAYERS[name]
                if name in _WITH_VALUE_RANGE:
                    arguments = {**arguments, "value_range": (0, 255)}
                # float32 whatever the global policy is: these are pixels.
                layer = cls(data_format="channels_last", dtype="float32", **arguments)
                layer.generator = self._seeds
                self._layers[name] = layer

    @property
    def names(self) -> tuple[str, ...]:
        """The augmentations that are Keras's layers, in their order."""
        return tuple(self._layers)

    def __call__(
        self, images: Tensor, labels: Tensor, draws: dict[str, Callable[[], Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """Augments a batch.

        Args:
            images: Images, float32 `(B, H, W, C)` with values 0..255.
            labels: Labels, float32 `(B, classes)`.
            draws: Name, one of `names`, -> function that gives one seed of the backend after
                another.

        Returns:
            The new images and labels, of the same shapes.
        """
        for name, layer in self._layers.items():
            self._seeds.draw = draws[name]
            mixed = layer({"images": images, "labels": labels}, training=True)
            images, labels = mixed["images"], mixed["labels"]
        return images, labels


class GivenSeeds(keras.random.SeedGenerator):
    """Stands in for a layer's generator: gives what `draw` gives, and keeps no state."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.draw: Callable[[], Tensor] | None = None

    def next(self, ordered: bool = True) -> Any:
        """The next seed."""
        if self.draw is None:
            raise RuntimeError("The layer was called outside `KerasAugmentation`")
        return self.draw()
