"""What is asked of training batches, whichever backend takes them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_attn._checks import check_int, check_positive_int
from keras_attn.data.augmentations import check_augment
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.options import check_seed


@dataclasses.dataclass(frozen=True)
class BatchPlan:
    """The checked arguments of training batches.

    Attributes:
        size: Number of training images.
        num_classes: Number of classes.
        batch_size: Number of images in a batch, over all replicas together.
        augment: Names of augmentations, in the order in which they are applied.
        label_smoothing: Share of a label that is spread over all classes.
        seed: Seed that decides every batch.
        repeats: Number of times that each image comes in a pass.
    """

    size: int
    num_classes: int
    batch_size: int
    augment: tuple[str, ...]
    label_smoothing: float
    seed: int
    repeats: int = 1

    @property
    def steps(self) -> int:
        """How many batches there are in a pass; what doesn't fill the last one is left out."""
        return self.size * self.repeats // self.batch_size

    @property
    def places(self) -> np.ndarray:
        """Where in a batch's part of a pass its rows are taken from: integers `(batch_size,)`.

        In a pass an image and its repetitions follow each other. In a batch they stand apart, so
        that replicas see different images, and each the same image as another one does.
        """
        return np.argsort(np.arange(self.batch_size) % self.repeats, kind="stable")

    @classmethod
    def of(
        cls,
        dataset: ImageDataset,
        batch_size: int,
        *,
        augment: Sequence[str],
        label_smoothing: float,
        seed: int,
        repeats: int = 1,
    ) -> "BatchPlan":
        """Checks the arguments; raises a ValueError that names the first wrong one."""
        check_positive("batch_size", batch_size, most=dataset.train_size)
        is_number = isinstance(label_smoothing, (int, float))
        if isinstance(label_smoothing, bool) or not is_number or not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` must be a number from 0 to below 1. "
                f"Received: label_smoothing={label_smoothing!r}"
            )
        check_seed(seed)
        check_positive_int("repeats", repeats)
        return cls(
            dataset.train_size,
            dataset.num_classes,
            batch_size,
            check_augment(augment),
            label_smoothing,
            seed,
            repeats,
        )


def check_positive(name: str, value: Any, *, most: int | None = None) -> None:
    """Raises a ValueError unless `name` is a positive integer, no more than `most`."""
    check_positive_int(name, value)
    if most is not None and value > most:
        raise ValueError(
            f"`{name}` must not exceed the {most} training images. Received: {name}={value}"
        )


def check_count(name: str, value: Any) -> None:
    """Raises a ValueError unless the argument `name` is an integer, 0 or more."""
    check_int(name, value, "an integer, 0 or more", least=0)
