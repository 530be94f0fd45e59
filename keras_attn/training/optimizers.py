"""The two optimizers, each with warm-up and cosine decay."""

import dataclasses

import keras


@dataclasses.dataclass(frozen=True)
class OptimizerDefaults:
    """What an optimizer is given where the caller gives nothing."""

    learning_rate: float
    weight_decay: float


# For batches of 128. SGD's are He et al. (2015), section 4.2: 0.1 and 1e-4; Keras's weight decay
# is decoupled and so lacks momentum's tenfold amplification, for which 1e-3 makes up. AdamW's are
# ours: they suit small networks, and no paper's table is claimed.
DEFAULTS = {
    "sgd": OptimizerDefaults(learning_rate=0.1, weight_decay=1e-3),
    "adamw": OptimizerDefaults(learning_rate=1e-3, weight_decay=5e-2),
}


def make_optimizer(
    name: str,
    model: keras.Model,
    *,
    steps: int,
    warmup_steps: int,
    learning_rate: float,
    weight_decay: float,
) -> keras.optimizers.Optimizer:
    """Makes an optimizer for a model: linear warm-up, then cosine decay to zero.

    The weight decay is decoupled (each step shrinks a weight by learning rate times weight
    decay, for SGD too) and spares what has one axis or none: biases, and the scales and
    offsets of BatchNormalization.

    Args:
        name: `"sgd"` (Nesterov momentum 0.9) or `"adamw"`.
        model: The built model whose weights it will train.
        steps: Steps of the whole training; at its end the rate is zero.
        warmup_steps: In how many of these the rate rises from zero to its peak; less than `steps`.
        learning_rate: The peak.
        weight_decay: 0 for none.

    Returns:
        A Keras optimizer that is not built yet.

    Raises:
        ValueError: If there is no optimizer of that name.
    """
    check_optimizer(name)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else learning_rate,
        decay_steps=steps - warmup_steps,
        warmup_target=learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    if name == "sgd":
        optimizer = keras.optimizers.SGD(
            schedule, momentum=0.9, nesterov=True, weight_decay=weight_decay or None
        )
    else:
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
    spared = [weight for weight in model.trainable_variables if len(weight.shape) <= 1]
    optimizer.exclude_from_weight_decay(var_list=spared)
    return optimizer


def check_optimizer(name: str) -> None:
    """Raises a ValueError unless `name` is one of `DEFAULTS`."""
    if name not in DEFAULTS:
        raise ValueError(
            f"`optimizer` must be one of {', '.join(map(repr, DEFAULTS))}. "
            f"Received: optimizer={name!r}"
        )
