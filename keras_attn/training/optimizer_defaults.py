"""The optimizers and schedules by name, and what each optimizer is given by default."""

import dataclasses

SCHEDULES = ("cosine", "step")


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
