"""Where training runs: one device, or a replica of the network on each of several."""

import itertools

import tensorflow as tf

STRATEGIES = ("one-device", "mirrored")


def get_strategy(name: str) -> tf.distribute.Strategy:
    """Gives the tf.distribute strategy of that name.

    Args:
        name: `"one-device"` is TensorFlow's default: the first visible GPU, else the CPU.
            `"mirrored"` is a replica on each visible GPU, else on each logical CPU device. There
            is one of these, unless `tf.config.set_logical_device_configuration` made more: a way
            to try it out. It has run on CPU devices; on several GPUs it has not.

    Returns:
        A `tf.distribute.Strategy`. Build the model in its `scope()`.

    Raises:
        ValueError: If there is no strategy of that name.

    Example:
        >>> get_strategy("one-device").num_replicas_in_sync
        1
    """
    if name == "one-device":
        # Not OneDeviceStrategy, whose wrapped variables and datasets bring nothing here.
        return tf.distribute.get_strategy()
    if name == "mirrored":
        if gpus := tf.config.list_logical_devices("GPU"):
            return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus])
        # The default, collective operations, fail as soon as one process makes a second
        # MirroredStrategy with another network.
        return tf.distribute.MirroredStrategy(
            [cpu.name for cpu in tf.config.list_logical_devices("CPU")],
            cross_device_ops=tf.distribute.ReductionToOneDevice(),
        )
    raise ValueError(
        f"`strategy` must be one of {', '.join(map(repr, STRATEGIES))}. Received: strategy={name!r}"
    )


def evaluation_batch_size(size: int, batch_size: int, replicas: int) -> int:
    """Picks a batch size with which several replicas can evaluate.

    tf.distribute cuts a batch of n images into shares of ceil(n / replicas). A replica that gets
    none fails in TensorFlow's CPU convolutions, whose output for an empty batch has the input's
    shape; and Keras fails where the shares of the first batch differ.

    Args:
        size: How many images there are.
        batch_size: The batch size asked for, over all replicas together.
        replicas: How many replicas share a batch.

    Returns:
        `batch_size` itself where that will do, as it always does for one replica; else the nearest
        smaller multiple of `replicas`, or the nearest larger one, that is no larger than `size`.

    Raises:
        ValueError: If no batch size will do, as there are too few images.

    Example:
        >>> evaluation_batch_size(33, 16, 2)  # 16 would leave 1 image; 14 leaves 5
        14
    """

    def fills(images: int) -> bool:
        return -(-images // replicas) * (replicas - 1) < images

    if replicas == 1:
        return batch_size
    first = min(batch_size, size) // replicas * replicas
    smaller = range(first, 0, -replicas)
    larger = range(first + replicas, size + 1, replicas)
    for candidate in itertools.chain(smaller, larger):
        rest = size % candidate
        if rest == 0 or fills(rest):
            return candidate
    raise ValueError(
        f"The data set must have enough held-out images for {replicas} replicas. "
        f"Received: {size} images, which no batch size shares out among them"
    )
