"""The options of a training, each of them written once: here."""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from keras_attn.data.augmentations import AUGMENTATIONS, check_augment
from keras_attn.data.options import check_seed
from keras_attn.training.optimizer_defaults import DEFAULTS, SCHEDULES
from keras_attn.training.options import (
    BOOL,
    COUNT,
    FACTORS,
    MOMENTUM,
    NOT_NEGATIVE,
    POSITIVE,
    POSITIVE_OR_NONE,
    SHARE,
    SHARES,
    SWITCH,
    VERBOSITY,
    Rule,
    lists_options,
    meant,
    one_of,
    option_of,
    options_of,
)
from keras_attn.training.placement.names import STRATEGIES, check_name

if TYPE_CHECKING:
    import tensorflow as tf

RUN = "how it runs"
LEAST_BATCH, LARGEST_BATCH = 8, 128  # where none is given
AUGMENT = Rule(lambda name, value: check_augment(value), {"nargs": "*", "metavar": "NAME"})
SEED = Rule(lambda name, value: check_seed(value), {"type": int})
STRATEGY = Rule(
    lambda name, value: check_name(value) if isinstance(value, str) else None,
    {"choices": STRATEGIES},
)


@lists_options
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The options of a training.

    `train` and `finetune` take them by name, or a `TrainingConfig` of them. The flags of
    `keras-attn train`, recipes, `run.json` and checkpoints name them alike. A new option is a new
    field: its type, its rule with the text that says what it is for, and its default.

    Raises:
        ValueError: If an option is wrong.

    Example:
        >>> config = TrainingConfig(epochs=3, augment=["crop", "flip"])
        >>> config.augment, config.filled_in().learning_rate
        (('crop', 'flip'), 0.1)
    """

    epochs: Annotated[int, COUNT("Passes over the training images.")]
    batch_size: Annotated[
        int | None,
        COUNT(
            "Images in a batch, over all replicas together. Without one, 128, and fewer where "
            "there are few images: a power of two of which a pass has 8, but 8 at least."
        ),
    ] = None
    optimizer: Annotated[str, one_of(*DEFAULTS)("SGD with Nesterov momentum 0.9, or AdamW.")] = (
        "sgd"
    )
    learning_rate: Annotated[
        float | None,
        POSITIVE("Peak of the learning rate. Without one, 0.1 for SGD and 0.001 for AdamW."),
    ] = None
    schedule: Annotated[
        str,
        one_of(*SCHEDULES)(
            "Whether the rate falls to zero as a cosine, or to a tenth at each of `milestones`."
        ),
    ] = "cosine"
    milestones: Annotated[
        tuple[float, ...],
        SHARES('Shares of all updates after which the schedule "step" drops, ascending.'),
    ] = (0.5, 0.75)
    warmup: Annotated[float, SHARE("Share of all updates in which the rate rises, below 1.")] = 0.1
    weight_decay: Annotated[
        float | None,
        NOT_NEGATIVE("Decoupled weight decay. Without one, 0.001 for SGD and 0.05 for AdamW."),
    ] = None
    decay_all: Annotated[
        bool, BOOL("Whether the decay is for biases and BatchNormalization, too.")
    ] = False
    clip_norm: Annotated[
        float | None, POSITIVE_OR_NONE("Bound of the norm of the whole gradient.")
    ] = None
    ema: Annotated[
        float | None,
        MOMENTUM(
            "Momentum of the moving average of the weights, such as 0.999, with which the network "
            "is evaluated and which is kept. Without one, the weights themselves are kept."
        ),
    ] = None
    accumulation_steps: Annotated[
        int,
        COUNT(
            "Number of batches of whose gradients an update takes the mean. In each pass, what "
            "doesn't fill the last update is left out."
        ),
    ] = 1
    learning_rate_factors: Annotated[
        Mapping[str, float] | None,
        FACTORS(
            "Factors of the learning rate of some layers: a pattern of their names such as "
            '"stage1_*" and its factor. The first pattern that fits counts.'
        ),
    ] = None
    weight_decay_factors: Annotated[
        Mapping[str, float] | None, FACTORS("Factors of the weight decay of some layers, likewise.")
    ] = None
    label_smoothing: Annotated[
        float,
        SHARE(
            "Share of a training label that is spread over all classes, below 1. The labels of "
            "the held-out images stay as they are."
        ),
    ] = 0.0
    augment: Annotated[
        tuple[str, ...],
        AUGMENT(f"Augmentations, none or some of {', '.join(AUGMENTATIONS)}.", group="data"),
    ] = ("crop",)
    repeats: Annotated[
        int,
        COUNT(
            "Number of times that an image stands in a batch, each time augmented anew (Hoffer et "
            "al. 2020). An epoch has as many batches as ever, so that going over all images takes "
            "as many epochs.",
            group="data",
        ),
    ] = 1
    mixed_precision: Annotated[
        str | None,
        one_of(None, "float16", "bfloat16")(
            "Type that the network computes in; float16 with loss scaling.", group=RUN
        ),
    ] = None
    synchronized: Annotated[
        bool,
        BOOL(
            "Whether BatchNormalization takes its statistics over all replicas, rather than over "
            "the images of each.",
            group=RUN,
        ),
    ] = False
    strategy: Annotated[
        "str | tf.distribute.Strategy",
        STRATEGY(
            "Where it runs: a name, see `get_strategy`, or a strategy. Start multi-worker and "
            "parameter-server in each process of TF_CONFIG; multi-worker must be made, by "
            "`get_strategy`, before TensorFlow does anything else.",
            group=RUN,
        ),
    ] = "one-device"
    jit_compile: Annotated[
        bool | Literal["auto"],
        one_of(True, False, "auto", **SWITCH)(
            "Whether XLA compiles the step, as in `keras.Model.compile`; on one replica only.",
            group=RUN,
        ),
    ] = "auto"
    steps_per_execution: Annotated[
        int, COUNT("Number of batches that TensorFlow trains on in one call.", group=RUN)
    ] = 1
    evaluate_every: Annotated[
        int,
        COUNT(
            "Number of epochs after each of which the held-out images are evaluated. They are at "
            "the end in any case.",
            group=RUN,
        ),
    ] = 1
    keep_best: Annotated[
        bool,
        BOOL(
            "Whether to write `best.keras`, too: the network after the epoch whose accuracy on the "
            "held-out images was the highest, the first of equals. That accuracy is then no "
            "measure of it on new images: the choice saw the held-out ones.",
            group=RUN,
        ),
    ] = False
    patience: Annotated[
        int | None,
        COUNT(
            "Number of evaluations on the held-out images without a higher accuracy after which "
            "the training ends early. The learning rate falls as for all `epochs`. Without one, "
            "it doesn't end early.",
            group=RUN,
        ),
    ] = None
    deterministic: Annotated[
        bool,
        BOOL("Whether TensorFlow must give the same bits in each run, which is slower.", group=RUN),
    ] = False
    seed: Annotated[
        int, SEED("Seed of the weights, the order of the images and the augmentations.")
    ] = 0
    tensorboard: Annotated[
        bool,
        BOOL(
            "Whether to write logs for TensorBoard, into `tensorboard` in the run's folder.",
            group=RUN,
            recorded=False,
        ),
    ] = False
    profile: Annotated[
        bool,
        BOOL(
            "Whether to say after each epoch how long the training has waited for its batches: "
            "whether the input or the device is the limit. The share is in the history, too, as "
            "`input_wait`. Without `steps_per_execution`.",
            group=RUN,
            recorded=False,
        ),
    ] = False
    verbose: Annotated[
        int | Literal["auto"],
        VERBOSITY(
            '0 is silent, 1 Keras\'s progress bar, 2 a line for each epoch; "auto" is 1 on a '
            "terminal and 2 elsewhere. Only the first worker prints.",
            group=RUN,
            recorded=False,
        ),
    ] = "auto"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None or field.default is not None:
                option_of(field).rule.check(field.name, value)
        for name in ("milestones", "augment"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("learning_rate_factors", "weight_decay_factors"):
            object.__setattr__(self, name, dict(getattr(self, name) or {}))
        if self.profile and self.steps_per_execution > 1:
            raise ValueError(
                "`steps_per_execution` must be 1 with `profile`: of several batches in one call it "
                "is not known when each was asked for. "
                f"Received: steps_per_execution={self.steps_per_execution}"
            )
        if self.keep_best and self.ema is not None:
            raise ValueError(
                "`keep_best` must be False with `ema`: after an epoch the network has the weights "
                "themselves, and what was evaluated is their average. Received: keep_best=True"
            )

    @classmethod
    def of(cls, config: "TrainingConfig | None", options: Mapping[str, Any]) -> "TrainingConfig":
        """A config with some other options, or one of these options alone.

        Raises:
            TypeError: If there is no such option, or `config` is none.
            ValueError: If one is wrong.
        """
        unknown = [name for name in options if name not in OPTIONS]
        if unknown:
            raise TypeError(f"There is no option {unknown[0]!r}{meant(unknown[0], OPTIONS)}")
        if config is None:
            return cls(**options)
        if not isinstance(config, cls):
            raise TypeError(
                f"`config` must be a TrainingConfig. Received: config={config!r}; the options of a "
                "training are given by name"
            )
        return dataclasses.replace(config, **options)

    def filled_in(self) -> "TrainingConfig":
        """The same with the optimizer's own learning rate and weight decay where none is given."""
        own = DEFAULTS[self.optimizer]
        given = {
            name: getattr(own, name)
            for name in ("learning_rate", "weight_decay")
            if getattr(self, name) is None
        }
        return dataclasses.replace(self, **given)

    def for_images(self, train_size: int) -> "TrainingConfig":
        """The same with a batch for so many training images, where none is given."""
        if self.batch_size is not None:
            return self
        eighth = 2 ** max(0, (train_size // 8).bit_length() - 1)  # the power of two below it
        return dataclasses.replace(
            self, batch_size=min(max(LEAST_BATCH, eighth), LARGEST_BATCH, train_size)
        )

    @property
    def batch(self) -> int:
        """Images in a batch, as given or as `for_images` has filled in."""
        return self.batch_size or LARGEST_BATCH

    def record(self) -> dict[str, Any]:
        """What `run.json` and checkpoints hold of it: what tells the training from another."""
        filled = self.filled_in()
        options = options_of(type(self))
        record = {name: getattr(filled, name) for name, o in options.items() if o.recorded}
        if not isinstance(self.strategy, str):
            record["strategy"] = type(self.strategy).__name__
        return record

    def steps_per_epoch(self, train_size: int) -> int:
        """How many batches of a pass fill whole updates and executions.

        Raises:
            ValueError: If there are too few images for one.
        """
        if self.batch > train_size:
            raise ValueError(
                f"`batch_size` must not exceed the {train_size} training images. "
                f"Received: batch_size={self.batch}"
            )
        batches = train_size // self.batch
        at_once = math.lcm(self.accumulation_steps, self.steps_per_execution)
        if batches < at_once:
            raise ValueError(
                "`accumulation_steps` and `steps_per_execution` must not ask for more than the "
                f"{batches} batches of a pass. Received: accumulation_steps="
                f"{self.accumulation_steps}, steps_per_execution={self.steps_per_execution}"
            )
        return batches // at_once * at_once


OPTIONS = options_of(TrainingConfig)


def defaults() -> dict[str, Any]:
    """What is recorded of each option that has a default, where nothing is given."""
    return TrainingConfig(epochs=1, batch_size=LARGEST_BATCH).record() | {"epochs": None}
