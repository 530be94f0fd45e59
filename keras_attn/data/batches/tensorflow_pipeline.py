"""Batches for TensorFlow: a stateless tf.data pipeline, cut into the batches of the replicas."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from keras_attn.data.augment import (
    CROP_PADDING,
    KerasAugmentation,
    resized_crop_boxes,
    resized_crop_sides,
)
from keras_attn.data.augmentations import AUGMENTATIONS, check_augment
from keras_attn.data.batches.ahead import InputClock
from keras_attn.data.batches.boxes import NUMBERS
from keras_attn.data.batches.mixing import draw_mixes, mix, mixes_of
from keras_attn.data.batches.order import row_numbers, seeds_of, stream_batches
from keras_attn.data.batches.photographs import photograph_reader, record_reader
from keras_attn.data.batches.plan import BatchPlan, check_count, check_positive
from keras_attn.data.encoded import EncodedSplit
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.splits import RandomAccessSplit, Split, StreamSplit

CROP = "random_resized_crop"
READ_TOGETHER = 32  # records of a split that is evaluated


def training_batches(
    dataset: ImageDataset,
    batch_size: int,
    *,
    augment: Sequence[str] = ("crop",),
    label_smoothing: float = 0.0,
    seed: int = 0,
    repeats: int = 1,
    start_step: int = 0,
    replicas: range = range(1),
    num_replicas: int = 1,
    for_device: bool = False,
    clock: InputClock | None = None,
) -> tf.data.Dataset:
    """Endless training batches, each of which `seed` and its number alone decide.

    A pass is `repeats * train_size // batch_size` global batches, in which each image comes
    `repeats` times at most, in a new order; what doesn't fill the last batch is left out. Of each
    global batch in turn, every replica in `replicas` gets its consecutive rows, in order. So the
    replicas' batches put together are the batch of one replica, bit by bit, and a run that starts
    at `start_step` goes on as if it had never stopped. Two things differ. Keras's layers
    ("randaugment", "random_erasing") and the mixes ("mixup", "cutmix") are drawn for each
    replica's rows by themselves: what they do depends on the number of replicas too. A
    `StreamSplit` is shuffled within a buffer of 256 MiB only, and `start_step` then reads and
    drops what comes before it in its pass.

    Args:
        dataset: Data set whose training images are taken.
        batch_size: Number of images in a global batch, over all replicas together.
        augment: Names out of `AUGMENTATIONS`. "crop", "flip" and "random_resized_crop" are
            drawn for each image by itself. ("flip" is not for digits or text.)
        label_smoothing: Share of a label that is spread over all classes:
            0 <= label_smoothing < 1.
        seed: Seed that decides all batches.
        repeats: Number of times that an image stands in a batch, apart, each time augmented anew.
            Where a batch does not end with an image's last time, the next batch has the rest.
        start_step: Number of global batches to leave out at the start.
        replicas: Replicas to give batches for; a worker's own, by `tf.distribute`.
        num_replicas: Number of replicas in all.
        for_device: Whether to leave the last part to the device, see `finisher`. The images are
            then uint8 where the data set's are and "randaugment", "random_erasing" and
            "random_resized_crop" of what is no photograph have not changed them, and with "mixup"
            or "cutmix" what was drawn for them follows on the labels.
        clock: Is told of each batch when it is there.

    Returns:
        An endless `tf.data.Dataset` of `(images, labels)`: float32 `(b, H, W, C)` with values
        0..255, and float32 `(b, classes)`, with `b = batch_size // num_replicas`. Give
        `steps_per_epoch` to `fit`.

    Raises:
        ValueError: If an argument is wrong, or if Keras's layers are asked for and Keras's backend
            is not TensorFlow.

    Example:
        >>> batches = training_batches(load_dataset("digits"), 128, augment=["crop", "mixup"])
        >>> [(images.shape, labels.shape) for images, labels in batches.take(1)]
        [(TensorShape([128, 32, 32, 3]), TensorShape([128, 10]))]
    """
    plan = BatchPlan.of(
        dataset,
        batch_size,
        augment=augment,
        label_smoothing=label_smoothing,
        seed=seed,
        repeats=repeats,
    )
    _check_replicas(replicas, num_replicas, batch_size)
    check_count("start_step", start_step)
    batches = _augmented(dataset.train, plan, start_step, replicas, num_replicas, clock)
    if not for_device:
        batches = batches.map(finisher(plan.augment), num_parallel_calls=tf.data.AUTOTUNE)
    # Each worker already gets its own rows: tf.distribute is not to share them out again.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return _finished(batches).with_options(options)


def finisher(augment: Sequence[str]) -> Callable[..., tuple[Any, Any]]:
    """A function from what `training_batches` gives with `for_device` to images and labels.

    It draws nothing, and runs on any device, by XLA, too.

    Args:
        augment: Names of the augmentations.
    """
    names = mixes_of(check_augment(augment))

    @tf.autograph.experimental.do_not_convert
    def finish(images: Any, labels: Any, drawn: Any = None) -> tuple[Any, Any]:
        return mix(images, labels, drawn, names)

    return cast(Callable[..., tuple[Any, Any]], finish)


def prefetched(batches: tf.data.Dataset, device: str) -> tf.data.Dataset:
    """The same batches, two of which are on a device before they are asked for."""
    return batches.apply(tf.data.experimental.prefetch_to_device(device, buffer_size=2))


def evaluation_batches(
    source: ImageDataset | Split, batch_size: int, *, for_device: bool = False
) -> tf.data.Dataset:
    """Batches of each image once, in order and as it is; the last may be smaller.

    Args:
        source: Split, or data set, whose held-out images are taken.
        batch_size: Number of images in a batch.
        for_device: Whether the images keep the data set's dtype, uint8 mostly: a quarter of the
            bytes, of which the network makes numbers itself.

    Returns:
        A `tf.data.Dataset` of `(images, labels)`: `(B, H, W, C)` with values 0..255, float32 unless
        `for_device`, and int64 `(B,)`.

    Raises:
        ValueError: If an argument is wrong.

    Example:
        >>> [len(labels) for _, labels in evaluation_batches(load_dataset("digits"), 128)]
        [128, 128, 104]
    """
    split = source.test if isinstance(source, ImageDataset) else source
    if not isinstance(split, Split):
        raise ValueError(
            "`source` must be an ImageDataset or a split of one. "
            f"Received: source={type(source).__name__}"
        )
    check_positive("batch_size", batch_size)

    @tf.autograph.experimental.do_not_convert
    def as_asked(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = images if for_device else tf.cast(images, tf.float32)
        return images, tf.cast(labels, tf.int64)

    if isinstance(split, StreamSplit):
        batches = split.dataset.batch(batch_size)
    elif isinstance(split, EncodedSplit) and not split.is_small():
        batches = _evaluated(split).batch(batch_size)
    else:
        gather = _gather(split)
        batches = tf.data.Dataset.range(len(split)).batch(batch_size)
        batches = batches.map(gather, num_parallel_calls=tf.data.AUTOTUNE)
    return _finished(batches.map(as_asked, num_parallel_calls=tf.data.AUTOTUNE))


def _finished(batches: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def _augmented(
    split: Split,
    plan: BatchPlan,
    start_step: int,
    replicas: range,
    num_replicas: int,
    clock: InputClock | None,
) -> tf.data.Dataset:
    """The training batches, of `(step, replica, rows)` or `(step, replica, images, labels)`."""
    size = plan.batch_size // num_replicas
    keras_layers, mixes = KerasAugmentation(plan.augment), mixes_of(plan.augment)
    by_keras = (*keras_layers.names, *mixes)
    if by_keras and keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"`augment` must be without {by_keras} here unless Keras's backend is TensorFlow; "
            f"`TrainingSequence` takes them. Received: augment={plan.augment}"
        )
    draws_parts = isinstance(split, EncodedSplit) and split.is_varied and CROP in plan.augment
    is_encoded = isinstance(split, EncodedSplit) and (draws_parts or not split.is_small())
    # A photograph is mirrored while it is resized, where nothing is cut out of it after that.
    mirrors = is_encoded and "flip" in plan.augment and "crop" not in plan.augment
    mirrors = mirrors and (draws_parts or CROP not in plan.augment)
    has_images = is_encoded or isinstance(split, StreamSplit)
    gather = None if has_images else _gather(split)

    @tf.autograph.experimental.do_not_convert
    def augmented(step: tf.Tensor, replica: tf.Tensor, *example: Any) -> tuple[tf.Tensor, ...]:
        images, labels = gather(*example) if gather else example  # (b, H, W, C), (b,)
        seeds: dict[str, tf.Tensor] = dict(
            zip(AUGMENTATIONS, seeds_of(plan.seed, step)[1:], strict=True)
        )
        mine = replica * size + tf.range(size, dtype=tf.int64)  # rows of the global batch

        def draw(name: str, shape: tuple[int, ...], **kwargs: Any) -> tf.Tensor:
            """For the whole global batch, of which this replica's part is taken."""
            numbers = tf.random.stateless_uniform((plan.batch_size, *shape), seeds[name], **kwargs)
            return tf.gather(numbers, mine)

        if CROP in plan.augment and not draws_parts:
            images = _resized_crop(images, draw(CROP, (4,)))
        offsets = flips = None
        if "crop" in plan.augment:
            offsets = draw("crop", (2,), minval=0, maxval=2 * CROP_PADDING + 1, dtype=tf.int32)
        if "flip" in plan.augment and not mirrors:
            flips = draw("flip", ()) < 0.5
        images = _crop_and_flip(images, offsets, flips)
        labels = tf.one_hot(labels, plan.num_classes)  # (b, classes)
        labels = labels * (1.0 - plan.label_smoothing) + plan.label_smoothing / plan.num_classes
        draws = {name: _drawer(seeds[name], replica) for name in by_keras}
        if keras_layers.names:
            images, labels = keras_layers(tf.cast(images, tf.float32), labels, draws)
        batch: tuple[tf.Tensor, ...] = (images, labels)
        if mixes:
            sides = cast(tuple[int, int], tuple(images.shape[1:3]))
            batch += (draw_mixes(mixes, (size, *sides), draws),)
        return batch if clock is None else _noted(batch, step, clock)

    if isinstance(split, StreamSplit):
        batches = stream_batches(split, plan, start_step, replicas, size)
    else:
        batches = row_numbers(plan, start_step, replicas, size)
    if is_encoded:
        encoded = cast(EncodedSplit, split)
        batches = _one_by_one(batches, plan, size, encoded, draws_parts, mirrors)
    return batches.map(augmented, num_parallel_calls=tf.data.AUTOTUNE)


def _noted(
    batch: tuple[tf.Tensor, ...], step: tf.Tensor, clock: InputClock
) -> tuple[tf.Tensor, ...]:
    """The same batch, once the clock has been told of it."""
    with tf.control_dependencies(batch):
        noted = tf.numpy_function(clock.note, [step], tf.int64)
    with tf.control_dependencies([noted]):
        return tuple(tf.identity(part) for part in batch)


def _evaluated(split: EncodedSplit) -> tf.data.Dataset:
    """The image and label of each row, in order."""
    read, records = photograph_reader(split, parts=False), record_reader(split)
    nothing = tf.zeros(NUMBERS)
    rows = tf.data.Dataset.range(len(split)).batch(READ_TOGETHER)
    rows = rows.map(lambda some: (some, records(some)), num_parallel_calls=tf.data.AUTOTUNE)
    return rows.unbatch().map(
        lambda row, record: read(row, record, nothing), num_parallel_calls=tf.data.AUTOTUNE
    )


def _one_by_one(
    batches: tf.data.Dataset,
    plan: BatchPlan,
    size: int,
    split: EncodedSplit,
    draws_parts: bool,
    mirrors: bool,
) -> tf.data.Dataset:
    """Batches of rows -> the same of images and labels, of which several are read at a time."""
    read, records = photograph_reader(split, parts=draws_parts), record_reader(split)

    @tf.autograph.experimental.do_not_convert
    def draw(step: tf.Tensor, replica: tf.Tensor, rows: tf.Tensor) -> Any:
        seeds = seeds_of(plan.seed, step)[1:]
        mine = slice(replica * size, (replica + 1) * size)  # of the global batch

        def drawn(name: str, shape: tuple[int, ...]) -> tf.Tensor:
            seed = seeds[AUGMENTATIONS.index(name)]
            return tf.random.stateless_uniform((plan.batch_size, *shape), seed)[mine]

        of_batch = tf.repeat(step, size), tf.repeat(replica, size), rows, records(rows)
        flips = (drawn("flip", ()) < 0.5,) if mirrors else ()
        return *of_batch, drawn(CROP, (NUMBERS,)), *flips

    @tf.autograph.experimental.do_not_convert
    def one(step: tf.Tensor, replica: tf.Tensor, *example: tf.Tensor) -> Any:
        return step, replica, *read(*example)

    @tf.autograph.experimental.do_not_convert
    def whole(steps: tf.Tensor, replicas: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> Any:
        return steps[0], replicas[0], images, labels

    drawn = batches.map(draw, num_parallel_calls=tf.data.AUTOTUNE).unbatch()
    images = drawn.map(one, num_parallel_calls=tf.data.AUTOTUNE)
    return images.batch(size, drop_remainder=True).map(whole)


def _gather(split: Split) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A function from row numbers `(b,)` to images `(b, H, W, C)` and labels `(b,)`."""
    if not isinstance(split, RandomAccessSplit):
        raise ValueError(f"`split` must give its rows by number. Received: {type(split).__name__}")
    kept = split.in_memory()
    # On the CPU, and made here once: `map` then refers to them and doesn't copy them.
    with tf.device("CPU:0"):
        labels = tf.constant(split.labels, tf.int64)
        images = None if kept is None else tf.constant(kept)

    @tf.autograph.experimental.do_not_convert
    def gather(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if images is not None:
            return tf.gather(images, rows), tf.gather(labels, rows)
        pixels = tf.numpy_function(split.read, [rows], tf.uint8, stateful=False)
        return tf.ensure_shape(pixels, (rows.shape[0], *split.image_shape)), tf.gather(labels, rows)

    of_rows: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]] = gather
    return of_rows


def _drawer(seed: tf.Tensor, replica: tf.Tensor) -> Callable[[], tf.Tensor]:
    """A function that gives one seed `(2,)` after another."""
    # TensorFlow's stub has integers for the tensors.
    fold_in = cast(Callable[..., tf.Tensor], tf.random.fold_in)
    root, count = fold_in(seed, replica), itertools.count()
    return lambda: fold_in(root, np.int64(next(count)))


def _crop_and_flip(
    images: tf.Tensor, offsets: tf.Tensor | None, flips: tf.Tensor | None
) -> tf.Tensor:
    """Cuts images out of themselves, padded, and flips them left-right, each by itself.

    Args:
        images: `(b, H, W, C)`, with static `H`, `W` and `C`.
        offsets: int32 `(b, 2)`, the window's row and column in the padded image, or `None`.
        flips: bool `(b,)`, or `None`.

    Returns:
        `(b, H, W, C)`.
    """
    height, width = images.shape[1:3]
    columns = tf.range(width)[None]  # (1, W)
    if flips is not None:
        columns = tf.where(flips[:, None], columns[:, ::-1], columns)  # (b, W)
    if offsets is not None:
        sides = [CROP_PADDING, CROP_PADDING]
        images = tf.pad(images, [[0, 0], sides, sides, [0, 0]])
        rows = offsets[:, :1] + tf.range(height)  # (b, H)
        images = tf.gather(images, rows, axis=1, batch_dims=1)  # (b, H, W + 2 padding, C)
        columns = offsets[:, 1:] + columns
    if flips is None and offsets is None:
        return images
    return tf.gather(images, columns, axis=2, batch_dims=1)  # (b, H, W, C)


def _resized_crop(images: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Cuts a part out of each image and stretches it to the old size, bilinear: float32."""
    height, width = images.shape[1:3]
    uniform = tf.transpose(uniform)
    tall, broad = resized_crop_sides(uniform, height, width)
    boxes = resized_crop_boxes(uniform, tf.minimum(1.0, tall), tf.minimum(1.0, broad))
    return tf.image.crop_and_resize(
        tf.cast(images, tf.float32),
        tf.stack(boxes, 1),
        tf.range(tf.shape(images)[0]),
        (height, width),
    )


def _check_replicas(replicas: Any, num_replicas: Any, batch_size: int) -> None:
    check_count("num_replicas", num_replicas)
    if not num_replicas or batch_size % num_replicas:
        raise ValueError(
            "`num_replicas` must be positive and divide `batch_size`. "
            f"Received: num_replicas={num_replicas}, batch_size={batch_size}"
        )
    if (
        not isinstance(replicas, range)
        or not replicas
        or min(replicas) < 0
        or max(replicas) >= num_replicas
    ):
        raise ValueError(
            f"`replicas` must be a range, not empty, within range({num_replicas}). "
            f"Received: replicas={replicas!r}"
        )
