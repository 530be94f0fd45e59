"""From single images to batches: shuffling, augmentation of each image by itself, prefetching."""

from typing import Any

import tensorflow as tf

AUGMENTATIONS = ("none", "crop", "crop_flip")
CROP_PADDING = 4  # pixels on each side, as in the ResNet and SE papers' CIFAR recipe
SHUFFLE_BYTES = 2**28  # the shuffle buffer holds the whole split, unless that is larger


def pipeline(
    split: tf.data.Dataset,
    batch_size: int,
    *,
    training: bool,
    augment: str = "none",
    seed: int = 0,
) -> tf.data.Dataset:
    """Batches a split of an `ImageDataset`.

    For evaluation, each image comes once, in order, as it is. For training, pass follows pass
    without end (give `steps_per_epoch` to `fit`). In each pass the images are shuffled anew
    and augmented anew, and what doesn't fill the last batch is dropped: a batch that leaves a
    replica empty spoils BatchNormalization under tf.distribute. The seed alone decides what the
    n-th batch holds: every iterator starts with the same one.

    Args:
        split: Unbatched `(image, label)`: image `(H, W, C)`, scalar integer label.
        batch_size: Images in a batch, over all replicas together.
        training: Whether to repeat, shuffle, augment and drop the remainder.
        augment: What is done to each image, drawn for each by itself: `"none"`; `"crop"`, a
            random crop of the image padded with 4 zero pixels on each side; `"crop_flip"`, that
            and a left-right flip of every second image (not for digits or text).
        seed: Seed of the shuffling and of the augmentation.

    Returns:
        A `tf.data.Dataset` of `(images, labels)`: float32 `(B, H, W, C)` with values 0..255, and
        integer `(B,)`.

    Raises:
        ValueError: If `batch_size`, `augment` or `seed` is wrong.

    Example:
        >>> batches = pipeline(load_dataset("digits").test, 128, training=False)
        >>> [len(labels) for _, labels in batches]
        [128, 128, 104]
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size <= 0:
        raise ValueError(
            f"`batch_size` must be a positive integer. Received: batch_size={batch_size!r}"
        )
    check_augment(augment)
    check_seed(seed)
    if training:
        batches = _training_batches(split, batch_size, augment, seed)
    else:
        batches = split.batch(batch_size).map(_as_float, num_parallel_calls=tf.data.AUTOTUNE)
    # One process reads all images: tf.distribute is to cut the batches, not to share out files.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def _training_batches(
    split: tf.data.Dataset, batch_size: int, augment: str, seed: int
) -> tf.data.Dataset:
    buffer = _shuffle_buffer(split)

    # Not `shuffle(reshuffle_each_iteration=True).repeat()`: its order goes on from iterator to
    # iterator, and Keras makes one more of them under a strategy than without.
    def one_pass(number: tf.Tensor) -> tf.data.Dataset:
        # Of this function's own graph: `shuffle` would mix in the process's global seed.
        tf.compat.v1.set_random_seed(1 + seed % (2**31 - 2))
        shuffled = split.shuffle(buffer, seed=number, reshuffle_each_iteration=False)
        return shuffled.batch(batch_size, drop_remainder=True)

    def augmented(number: tf.Tensor, example: Any) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = _as_float(*example)
        crop_seed, flip_seed = tf.unstack(tf.random.split([seed, number], 2))
        if augment in ("crop", "crop_flip"):
            images = random_crop(images, crop_seed, padding=CROP_PADDING)
        if augment == "crop_flip":
            images = random_flip(images, flip_seed)
        return images, labels

    batches = tf.data.Dataset.counter().flat_map(one_pass).enumerate()
    return batches.map(augmented, num_parallel_calls=tf.data.AUTOTUNE)


def check_augment(augment: str) -> None:
    """Raises a ValueError unless `augment` is one of `AUGMENTATIONS`."""
    if augment not in AUGMENTATIONS:
        raise ValueError(
            f"`augment` must be one of {', '.join(map(repr, AUGMENTATIONS))}. "
            f"Received: augment={augment!r}"
        )


def check_seed(seed: int) -> None:
    """Raises a ValueError unless `seed` is one that Keras and tf.data take."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"`seed` must be an integer from 0 to 2**32 - 1. Received: seed={seed!r}")


def random_crop(images: tf.Tensor, seed: tf.Tensor, *, padding: int) -> tf.Tensor:
    """Pads with zeros and cuts the old size out again, at an offset of its own for each image.

    Args:
        images: `(B, H, W, C)`, with static `H`, `W` and `C`.
        seed: Two integers.
        padding: Pixels on each side.

    Returns:
        `(B, H, W, C)`.
    """
    batch, (height, width) = tf.shape(images)[0], images.shape[1:3]
    offsets = tf.random.stateless_uniform(
        (batch, 2), seed, minval=0, maxval=2 * padding + 1, dtype=tf.int32
    )
    rows = offsets[:, :1] + tf.range(height)  # (B, H)
    columns = offsets[:, 1:] + tf.range(width)  # (B, W)
    images = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    images = tf.gather(images, rows, axis=1, batch_dims=1)  # (B, H, W + 2 padding, C)
    return tf.gather(images, columns, axis=2, batch_dims=1)  # (B, H, W, C)


def random_flip(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Flips each image left-right or not, with equal chances.

    Args:
        images: `(B, H, W, C)`.
        seed: Two integers.

    Returns:
        `(B, H, W, C)`.
    """
    flip = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed) < 0.5
    return tf.where(flip, tf.reverse(images, axis=[2]), images)


def _as_float(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.cast(images, tf.float32), labels


def _shuffle_buffer(split: tf.data.Dataset) -> int:
    image = split.element_spec[0]
    fitting = max(1, SHUFFLE_BYTES // (image.shape.num_elements() * image.dtype.size))
    size = int(split.cardinality())
    return min(size, fitting) if size > 0 else fitting
