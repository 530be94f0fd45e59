"""What a training takes where the command line doesn't say: as the images and the network ask."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_attn.cli.arguments import EPOCHS
from keras_attn.cli.stages import say
from keras_attn.training.config import LARGEST_BATCH, TrainingConfig

if TYPE_CHECKING:
    from keras_attn.data import ImageDataset

NETWORK = "se_resnet20_cifar"
# SE-ResNet-20 learns 120 digits to 93 % in so many updates of 8, from nothing or from CIFAR-10.
UPDATES = 300
LARGE = 96  # side of images whose parts show something, in pixels


def suited(given: Mapping[str, Any], data: ImageDataset, *, from_nothing: bool) -> dict[str, Any]:
    """Options of the training that aren't given, and a line that says them.

    - Epochs: 4, or as many as make 300 updates.
    - The peak of the learning rate, from nothing: the optimizer's own times the root of the batch's
      share of 128. A network that has weights keeps `finetune`'s.
    - Augmentation of a folder of photographs: "flip" with "crop", or with "random_resized_crop" for
      images of 96 pixels and more.

    Args:
        given: Options that were given.
        data: Images to train on.
        from_nothing: Whether the network has no weights yet.
    """
    config = TrainingConfig(**{"epochs": EPOCHS, **given}).for_images(data.train_size)
    chosen: dict[str, Any] = {}
    if "batch_size" not in given:
        chosen["batch_size"] = config.batch
    if "epochs" not in given:
        updates = config.steps_per_epoch(data.train_size) // config.accumulation_steps
        chosen["epochs"] = max(EPOCHS, math.ceil(UPDATES / max(1, updates)))
    if "learning_rate" not in given and from_nothing and config.batch < LARGEST_BATCH:
        rate = config.filled_in().learning_rate or 0.0
        chosen["learning_rate"] = float(f"{rate * math.sqrt(config.batch / LARGEST_BATCH):.2g}")
    if "augment" not in given and Path(data.name).expanduser().is_dir():
        is_large = min(data.image_shape[:2]) >= LARGE
        chosen["augment"] = ("random_resized_crop" if is_large else "crop", "flip")
    if chosen:
        say(f"chosen for {data.train_size:,} images: {_flags(chosen)}")
    return chosen


def _flags(options: Mapping[str, Any]) -> str:
    """The options as a command line says them."""
    values = {
        name: " ".join(value) if isinstance(value, tuple) else value
        for name, value in options.items()
    }
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in values.items())
