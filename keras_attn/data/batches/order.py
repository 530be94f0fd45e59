"""Which images are in which training batch, for TensorFlow: decided by a seed and a number."""

import tensorflow as tf

from keras_attn.data.augmentations import AUGMENTATIONS
from keras_attn.data.batches.plan import BatchPlan
from keras_attn.data.splits import StreamSplit

SHUFFLE_BYTES = 2**28  # a stream's shuffle buffer: 1,783 images of 224x224


def seeds_of(seed: int, number: tf.Tensor) -> list[tf.Tensor]:
    """Seeds `(2,)`: one for the order of a pass, and one for each of `AUGMENTATIONS`."""
    root = tf.stack([tf.constant(seed, tf.int64), tf.cast(number, tf.int64)])
    seeds: list[tf.Tensor] = tf.unstack(tf.random.split(root, 1 + len(AUGMENTATIONS)))
    return seeds


def row_numbers(plan: BatchPlan, start_step: int, replicas: range, size: int) -> tf.data.Dataset:
    """`(step, replica, rows)` of every batch: three int64, the rows `(b,)`."""
    mine, places = list(replicas), plan.places

    @tf.autograph.experimental.do_not_convert
    def one_pass(number: tf.Tensor) -> tf.data.Dataset:
        # Random keys, sorted. tf.random.experimental.index_shuffle would give any row at once,
        # but its orders under neighbouring seeds resemble each other.
        keys = tf.random.stateless_uniform(
            (plan.size,),
            seeds_of(plan.seed, number)[0],
            minval=None,  # pyright: ignore[reportArgumentType]
            maxval=None,
            dtype=tf.int64,
        )
        order = tf.repeat(tf.argsort(keys), plan.repeats)[: plan.steps * plan.batch_size]
        rows = tf.reshape(tf.cast(order, tf.int64), (plan.steps, plan.batch_size))
        rows = tf.reshape(tf.gather(rows, places, axis=1), (plan.steps, -1, size))
        rows = tf.gather(rows, mine, axis=1)  # (steps, replicas, b)
        steps = tf.repeat(number * plan.steps + tf.range(plan.steps, dtype=tf.int64), len(mine))
        replica = tf.tile(tf.constant(mine, tf.int64), [plan.steps])
        return tf.data.Dataset.from_tensor_slices(
            (steps, replica, tf.reshape(rows, (plan.steps * len(mine), size)))
        )

    passes = tf.data.Dataset.counter(start_step // plan.steps).flat_map(one_pass)
    return passes.skip(start_step % plan.steps * len(mine))


def stream_batches(
    split: StreamSplit, plan: BatchPlan, start_step: int, replicas: range, size: int
) -> tf.data.Dataset:
    """`(step, replica, images, labels)` of every batch, out of a stream."""
    height, width, channels = split.image_shape
    image_bytes = height * width * channels * split.image_spec.dtype.size
    buffer = min(len(split), max(1, SHUFFLE_BYTES // image_bytes))
    skipped, places = start_step % plan.steps, plan.places

    @tf.autograph.experimental.do_not_convert
    def repeated(*example: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(example).repeat(plan.repeats)

    @tf.autograph.experimental.do_not_convert
    def one_pass(number: tf.Tensor) -> tf.data.Dataset:
        # Of this function's own graph: `shuffle` would mix in the process's global seed.
        tf.compat.v1.set_random_seed(1 + plan.seed % (2**31 - 2))
        shuffled = split.dataset.shuffle(
            buffer,
            seed=number,  # pyright: ignore[reportArgumentType]
            reshuffle_each_iteration=False,
        )
        if plan.repeats > 1:
            shuffled = shuffled.flat_map(repeated)
        batches = shuffled.batch(plan.batch_size, drop_remainder=True).take(plan.steps)
        return batches.enumerate(number * plan.steps)

    @tf.autograph.experimental.do_not_convert
    def cut(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tf.data.Dataset:
        @tf.autograph.experimental.do_not_convert
        def rows(replica: tf.Tensor) -> tuple[tf.Tensor, ...]:
            chosen = tf.constant(places)[replica * size : (replica + 1) * size]
            images, labels = (tf.gather(part, chosen) for part in batch)
            images = tf.ensure_shape(images, (size, height, width, channels))
            return step, replica, images, tf.ensure_shape(labels, (size,))

        return tf.data.Dataset.from_tensor_slices(tf.constant(list(replicas), tf.int64)).map(rows)

    passes = tf.data.Dataset.counter(start_step // plan.steps).flat_map(one_pass)
    return passes.skip(skipped).flat_map(cut)  # pyright: ignore[reportArgumentType]
