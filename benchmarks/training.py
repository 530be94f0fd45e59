"""Images a second, of input pipelines and of training steps, against the plain Keras loop.

    python benchmarks/training.py [--model resnet20_cifar] [--replicas 1 2] [--rounds 5]

The same network, optimizer and augmentation (crops and flips, of each image by itself) on random
32x32 images. One side is what `train` does; the other is `Model.fit` on a tf.data pipeline as
users write it: shuffle, map over images, batch. Both are timed in one process, by turns; medians of
images a second and of the ratios are quoted. More than one replica is MirroredStrategy over
logical CPU devices.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from measuring import median_ratio, save, seconds_by_turns

PIPELINE_STEPS = 200  # a round of the pipeline alone; it is that much faster than a network


def measure(
    model: str, replicas: int, rounds: int, steps: int, batch_size: int
) -> Iterator[dict[str, str | int | float]]:
    """Times both sides in this process: the pipeline alone, on one replica, and training."""
    import tensorflow as tf

    if replicas > 1:
        [cpu] = tf.config.list_physical_devices("CPU")
        devices = [tf.config.LogicalDeviceConfiguration()] * replicas
        tf.config.set_logical_device_configuration(cpu, devices)
    import keras

    from keras_attn.applications import get_model
    from keras_attn.training import ImageDataset
    from keras_attn.training.placement.strategy import place

    placement = place("mirrored" if replicas > 1 else "one-device")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5000, 32, 32, 3)).astype("uint8")
    labels = rng.integers(0, 10, 5000)
    data = ImageDataset.from_arrays((images, labels), (images[:100], labels[:100]),
                                    class_names=[str(i) for i in range(10)])  # fmt: skip

    def plain(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.pad(tf.cast(image, tf.float32), [[4, 4], [4, 4], [0, 0]])
        image = tf.image.random_flip_left_right(tf.image.random_crop(image, (32, 32, 3)))
        return image, tf.one_hot(label, 10)

    keras_batches = (
        tf.data.Dataset.from_tensor_slices((images, labels))
        .shuffle(len(images))
        .repeat()
        .map(plain, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    our_batches = placement.training_batches(
        data, batch_size, steps_per_epoch=len(images) // batch_size, start_epoch=0,
        augment=("crop", "flip"), label_smoothing=0.0, seed=0,
    )  # fmt: skip
    if replicas == 1:
        pulls = {"keras": keras_batches, "ours": our_batches}
        yield _compared(
            "input pipeline",
            {side: _puller(batches, PIPELINE_STEPS) for side, batches in pulls.items()},
            PIPELINE_STEPS * batch_size, replicas, rounds,
        )  # fmt: skip
    fits = {}
    for side, batches in (("keras", keras_batches), ("ours", our_batches)):
        with placement.scope():
            network = get_model(model)(include_preprocessing=True)
            fitted = placement.model_to_fit(network) if side == "ours" else network
            fitted.compile(
                keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
                "categorical_crossentropy", metrics=["accuracy"], jit_compile=False,
            )  # fmt: skip
        fits[side] = functools.partial(
            fitted.fit, batches, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False
        )
    yield _compared(model, fits, steps * batch_size, replicas, rounds)


def _puller(batches: Iterable, steps: int) -> Callable[[], None]:
    iterator = iter(batches)

    def pull() -> None:
        for _ in range(steps):
            next(iterator)

    return pull


def _compared(
    what: str, sides: dict[str, Callable], images: int, replicas: int, rounds: int
) -> dict[str, str | int | float]:
    """Images a second of both sides, by turns."""
    seconds = seconds_by_turns(sides, rounds)
    return {
        "what": what,
        "replicas": replicas,
        "keras_images_s": round(images / statistics.median(seconds["keras"]), 1),
        "ours_images_s": round(images / statistics.median(seconds["ours"]), 1),
        "ratio": median_ratio(seconds["keras"], seconds["ours"]),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="resnet20_cifar", help="default: %(default)s")
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="a round's, default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument(
        "--out", type=Path, default="benchmarks/results/training.csv", help="default: %(default)s"
    )
    arguments = parser.parse_args()
    if len(arguments.replicas) > 1:  # devices are made once in a process
        arguments.out.unlink(missing_ok=True)
        for replicas in arguments.replicas:
            options = ["--replicas", str(replicas), "--rounds", str(arguments.rounds)]
            options += ["--steps", str(arguments.steps), "--batch-size", str(arguments.batch_size)]
            options += ["--model", arguments.model, "--out", str(arguments.out)]
            subprocess.run([sys.executable, sys.argv[0], *options], check=True)
        return
    for row in measure(
        arguments.model,
        arguments.replicas[0],
        arguments.rounds,
        arguments.steps,
        arguments.batch_size,
    ):
        print(
            f"{row['what']}, replicas: {row['replicas']}: Keras {row['keras_images_s']} images/s, "
            f"ours {row['ours_images_s']}, ratio {row['ratio']}",
            flush=True,
        )
        save(arguments.out, [row], "keras", "tensorflow", append=True)


if __name__ == "__main__":
    main()
