"""Batches for any backend, without TensorFlow: `PyDataset`s of NumPy arrays."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_attn.data.augment import (
    CROP_PADDING,
    KerasAugmentation,
    resized_crop_boxes,
    resized_crop_sides,
)
from keras_attn.data.augmentations import AUGMENTATIONS
from keras_attn.data.batches.decoder import Decoder
from keras_attn.data.batches.mixing import draw_mixes, mix, mixes_of
from keras_attn.data.batches.plan import BatchPlan, check_count, check_positive
from keras_attn.data.encoded import EncodedSplit
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.splits import RandomAccessSplit, Split
from keras_attn.typing import Tensor

CROP = "random_resized_crop"

# Held while Keras draws numbers. Its layers keep what they draw from; and under PyTorch it draws
# from a beta distribution by seeding the generator that all threads share, and setting it back.
_DRAWING = threading.Lock()


class TrainingSequence(keras.utils.PyDataset):
    """Training batches, each of which `seed` and its number alone decide.

    The batches of all epochs are one sequence, cut into epochs of `steps_per_epoch`. In each pass
    of `repeats * train_size // batch_size` batches an image comes `repeats` times at most, in a
    new order; what doesn't fill the last batch is left out. A sequence that starts at
    `start_epoch` goes on as if it had never stopped. The guarantees are those of
    `training_batches`, the random numbers are not: the same seed gives other batches there. Call
    `fit` with `shuffle=False`, or Keras changes the order within each epoch.

    Args:
        dataset: Data set whose training images are taken, any but one with a `StreamSplit`.
        batch_size: Number of images in a batch.
        augment: Names out of `AUGMENTATIONS`. "crop", "flip" and "random_resized_crop" are
            drawn for each image by itself. ("flip" is not for digits or text.)
        label_smoothing: Share of a label that is spread over all classes:
            0 <= label_smoothing < 1.
        seed: Seed that decides all batches.
        repeats: Number of times that an image stands in a batch, see `training_batches`.
        start_epoch: Number of epochs to leave out at the start.
        steps_per_epoch: Number of batches in an epoch. `None` means those of a pass.
        workers: Number of batches that are made in advance, at a time. Photographs that are too
            many for memory, and those of which parts are drawn, are decoded by worker processes,
            one for each core.

    Raises:
        ValueError: If an argument is wrong.

    Example:
        >>> batches = TrainingSequence(load_dataset("digits"), 128, augment=["crop", "mixup"])
        >>> images, labels = batches[0]
        >>> len(batches), images.shape, labels.shape
        (11, (128, 32, 32, 3), (128, 10))
    """

    def __init__(
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        augment: Sequence[str] = ("crop",),
        label_smoothing: float = 0.0,
        seed: int = 0,
        repeats: int = 1,
        start_epoch: int = 0,
        steps_per_epoch: int | None = None,
        workers: int = 1,
    ) -> None:
        super().__init__(workers=workers)
        self._plan = BatchPlan.of(
            dataset,
            batch_size,
            augment=augment,
            label_smoothing=label_smoothing,
            seed=seed,
            repeats=repeats,
        )
        self._split = _random_access("dataset", dataset.train)
        draws_parts = _is_varied(self._split) and "random_resized_crop" in self._plan.augment
        self._decoder = _decoder(self._split, parts=draws_parts)
        check_count("start_epoch", start_epoch)
        if steps_per_epoch is not None:
            check_positive("steps_per_epoch", steps_per_epoch)
        self._length = steps_per_epoch or self._plan.steps
        self._epoch = start_epoch
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, "int64"))
        self._keras_layers = KerasAugmentation(self._plan.augment)

    def __len__(self) -> int:
        """How many batches there are in an epoch."""
        return self._length

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A batch of the present epoch.

        Args:
            index: Number of the batch, from 0 to `len(self) - 1`.

        Returns:
            `(images, labels)`: float32 `(B, H, W, C)` with values 0..255, and float32
            `(B, classes)`.
        """
        images, labels = self.on_device(self.step_of(index))
        return keras.ops.convert_to_numpy(images), keras.ops.convert_to_numpy(labels)

    def step_of(self, index: int) -> int:
        """The number, counted over all epochs, of a batch of the present epoch."""
        _check_index(index, self._length)
        return self._epoch * self._length + index

    def on_device(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a number, counted over all epochs, as tensors of Keras's backend.

        The images go to the device as they are, of bytes mostly; what mixes them is done there.
        """
        plan = self._plan
        number, place = divmod(step, plan.steps)
        rows = self._order_of(number)[place * plan.batch_size : (place + 1) * plan.batch_size]
        rows = rows[plan.places]
        if self._decoder is None:
            images, numbers = self._split.read(rows), self._split.labels[rows]  # (B, H, W, C), (B,)
        else:
            images, numbers = self._decoder.read(rows, _rng(plan.seed, step, CROP))
        labels = np.eye(plan.num_classes, dtype="float32")[numbers]
        labels = labels * np.float32(1 - plan.label_smoothing)
        labels = labels + np.float32(plan.label_smoothing / plan.num_classes)  # (B, classes)
        images = _moved(images, plan, step, self._draws_on_pixels())
        images, labels = (keras.ops.convert_to_tensor(part) for part in (images, labels))
        mixes = mixes_of(plan.augment)
        names = (*self._keras_layers.names, *mixes)
        draws = {name: _drawer(plan.seed, step, name) for name in names}
        with _DRAWING:
            if self._keras_layers.names:
                images = keras.ops.cast(images, "float32")
                images, labels = self._keras_layers(images, labels, draws)
            shape = (len(rows), *images.shape[1:3])
            drawn = draw_mixes(mixes, shape, draws) if mixes else None
        return mix(images, labels, drawn, mixes)

    def _draws_on_pixels(self) -> bool:
        """Whether parts are cut out of images that have the network's size already."""
        return CROP in self._plan.augment and not (self._decoder and self._decoder.parts)

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch; Keras calls it."""
        self._epoch += 1

    def _order_of(self, number: int) -> np.ndarray:
        """The images' order in a pass; that of the last pass asked for is kept."""
        kept, order = self._order
        if kept != number:
            order = _rng(self._plan.seed, number, "order").permutation(self._plan.size)
            order = order.repeat(self._plan.repeats)
            self._order = (number, order)
        return order


class EvaluationSequence(keras.utils.PyDataset):
    """The held-out images, each once, in order and as it is; the last batch may be smaller.

    Args:
        dataset: Data set whose held-out images are taken, any but one with a `StreamSplit`.
        batch_size: Number of images in a batch.
        with_labels: Whether a batch is `(images, labels)`, as `fit` and `evaluate` take it, or
            images alone, as `predict` does.
        for_device: Whether the images keep the data set's dtype, uint8 mostly: a quarter of the
            bytes, of which the network makes numbers itself.
        workers: Number of threads that make batches in advance.

    Raises:
        ValueError: If an argument is wrong.

    Example:
        >>> batches = EvaluationSequence(load_dataset("digits"), 128)
        >>> [labels.shape for _, labels in (batches[i] for i in range(len(batches)))]
        [(128, 10), (128, 10), (104, 10)]
    """

    def __init__(
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        with_labels: bool = True,
        for_device: bool = False,
        workers: int = 1,
    ) -> None:
        super().__init__(workers=workers)
        check_positive("batch_size", batch_size)
        self._split = _random_access("dataset", dataset.test)
        self._decoder = _decoder(self._split, parts=False)
        self._num_classes = dataset.num_classes
        self._batch_size = batch_size
        self._with_labels = with_labels
        self._for_device = for_device

    def __len__(self) -> int:
        """How many batches there are."""
        return -(-len(self._split) // self._batch_size)

    def __getitem__(self, index: int) -> Any:
        """A batch.

        Args:
            index: Number of the batch, from 0 to `len(self) - 1`.

        Returns:
            Images, `(B, H, W, C)` with values 0..255, float32 unless `for_device`; or a pair of
            them and their classes one-hot, float32 `(B, classes)`.
        """
        _check_index(index, len(self))
        end = min((index + 1) * self._batch_size, len(self._split))
        rows = np.arange(index * self._batch_size, end)
        if self._decoder is None:
            images, numbers = self._split.read(rows), self._split.labels[rows]
        else:
            images, numbers = self._decoder.read(rows)
        images = images if self._for_device else images.astype("float32")
        if not self._with_labels:
            return images
        return images, np.eye(self._num_classes, dtype="float32")[numbers]


def _rng(seed: int, number: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, number, ("order", *AUGMENTATIONS).index(name)])


def _drawer(seed: int, step: int, name: str) -> Callable[[], Any]:
    """A function that gives one seed of Keras's backend after another."""
    first = int(_rng(seed, step, name).integers(2**31))
    draw: Callable[[], Tensor] = keras.random.SeedGenerator(first).next
    return draw


def _moved(images: np.ndarray, plan: BatchPlan, step: int, draws_parts: bool) -> np.ndarray:
    """What cuts and turns each image by itself: `(B, H, W, C)` in and out."""
    batch, height, width, _ = images.shape
    if draws_parts:
        uniform = _rng(plan.seed, step, CROP).random((4, batch))
        images = _resized_crop(images, uniform)
    each = np.arange(batch)[:, None, None]
    rows = np.arange(height)[None, :, None]  # (1, H, 1)
    columns = np.arange(width)[None, None, :]  # (1, 1, W)
    if "flip" in plan.augment:
        flips = _rng(plan.seed, step, "flip").random((batch, 1, 1)) < 0.5
        columns = np.where(flips, columns[..., ::-1], columns)  # (B, 1, W)
    if "crop" in plan.augment:
        offsets = _rng(plan.seed, step, "crop").integers(0, 2 * CROP_PADDING + 1, (2, batch, 1, 1))
        rows, columns = rows + offsets[0], columns + offsets[1]
        sides = (CROP_PADDING, CROP_PADDING)
        images = np.pad(images, ((0, 0), sides, sides, (0, 0)))
    elif "flip" not in plan.augment:
        return images
    return images[each, rows, columns]


def _resized_crop(images: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Cuts a part out of each image and stretches it to the old size, bilinear: float32."""
    sides = resized_crop_sides(uniform, *images.shape[1:3])
    tall, broad = (np.minimum(1.0, side) for side in sides)
    top, left, bottom, right = resized_crop_boxes(uniform, tall, broad)
    for axis, (start, end) in ((1, (top, bottom)), (2, (left, right))):
        length = images.shape[axis]
        places = np.linspace(start, end, length, axis=1) * (length - 1)  # (B, length)
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, length - 1)
        shape = [-1, 1, 1, 1]
        shape[axis] = length
        weight = (places - low).astype("float32").reshape(shape)
        low, high = low.reshape(shape), high.reshape(shape)
        images = np.take_along_axis(images, low, axis) * (1 - weight) + (
            np.take_along_axis(images, high, axis) * weight
        )
    return images


def _is_varied(split: RandomAccessSplit) -> bool:
    return isinstance(split, EncodedSplit) and split.is_varied


def _decoder(split: RandomAccessSplit, *, parts: bool) -> Decoder | None:
    """What decodes the images of a split in other processes, where they are not in memory."""
    if isinstance(split, EncodedSplit) and (parts or not split.is_small()):
        return Decoder(split, parts=parts)
    return None


def _random_access(name: str, split: Split) -> RandomAccessSplit:
    if not isinstance(split, RandomAccessSplit):
        raise ValueError(
            f"`{name}` must be in memory or in files to be read without TensorFlow. "
            f"Received: a {type(split).__name__}"
        )
    return split


def _check_index(index: int, length: int) -> None:
    if not 0 <= index < length:
        raise IndexError(f"`index` must be from 0 to {length - 1}. Received: index={index}")
