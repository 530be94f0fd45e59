"""What each replica has for itself: states of random numbers, and statistics of its images."""

import keras
import tensorflow as tf


def decorrelate(model: keras.Model) -> None:
    """Gives each replica random numbers of its own, to Dropout, StochasticDepth and the like.

    Keras's seed generators have a state on each replica, all with one value, so that all replicas
    draw the same masks. Here each replica's gets a first seed of its own; the first replica's
    stays. As Keras saves the first one's, call this after loading, too.

    Args:
        model: Model that was made in a strategy's scope.
    """
    weights = {id(weight) for weight in model.weights}
    metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
    states = [v for v in model.variables if id(v) not in weights | metrics]

    def shift() -> None:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        for state in states:
            seed = tf.convert_to_tensor(state.value)  # (2,): the seed, how often it was used
            shifted = seed + tf.cast([1, 0], seed.dtype) * tf.cast(replica, seed.dtype)
            state.value.assign(shifted)

    if states:
        tf.function(lambda: model.distribute_strategy.run(shift))()


def merge_statistics(model: keras.Model) -> None:
    """Gives all replicas the mean of what each has for itself in weights that aren't trained.

    Unless it is synchronized, BatchNormalization takes its moving statistics from the images of
    its replica. Keras saves the first replica's, and evaluates each replica's images by its own.

    Args:
        model: Model that was made in a strategy's scope.
    """
    strategy = model.distribute_strategy
    weights = [weight for weight in model.non_trainable_weights if "float" in str(weight.dtype)]
    if strategy.num_replicas_in_sync == 1 or not weights:
        return

    def merge() -> None:
        # In float64, the mean of what is equal already is the same to the bit.
        own = [tf.cast(weight.value, tf.float64) for weight in weights]
        means = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, own)
        for weight, mean in zip(weights, means, strict=True):
            weight.value.assign(tf.cast(mean, weight.value.dtype))

    tf.function(lambda: strategy.run(merge))()
