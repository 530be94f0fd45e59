"""What a training asks of the place where it runs; what is not said elsewhere is for one device."""

import abc
import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import keras

from keras_attn._keras import classified
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.training.run_folder.ownership import owned

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_attn.training.config import TrainingConfig


class Placement(abc.ABC):
    """Hides from `train` which backend and how many replicas and processes there are.

    Attributes:
        name: Name of the strategy, if there is one.
        of_one_machine: Whether a process can have one training after another.
        replicas: Number of replicas, over all processes.
        is_chief: Whether this process is the one that writes the files.
    """

    name: ClassVar[str | None] = None
    of_one_machine: ClassVar[bool] = True
    replicas = 1
    is_chief = True

    @classmethod
    def make_strategy(cls, timeout: float) -> "tf.distribute.Strategy":
        """Makes the strategy of this name.

        Args:
            timeout: Number of seconds to wait for other processes.
        """
        raise NotImplementedError(f"{cls.__name__} is no strategy of tf.distribute")

    @classmethod
    def start_process(cls, timeout: float) -> "str | tf.distribute.Strategy | None":
        """Begins a process of `keras-attn train`, before anything else is done in it.

        Args:
            timeout: Number of seconds to wait for other processes.

        Returns:
            The `strategy` for `train`, or `None` if the process has done its part.
        """
        return cls.name

    @classmethod
    def takes(cls, strategy: "tf.distribute.Strategy") -> bool:
        """Whether trainings with that strategy are for this class and for no other."""
        return False

    def check(self, config: "TrainingConfig") -> None:
        """Raises a ValueError if a training with these options can't run here."""
        if config.batch % self.replicas:
            raise ValueError(
                f"`batch_size` must divide by the strategy's {self.replicas} replicas. "
                f"Received: batch_size={config.batch}"
            )

    def check_scope(self, network: keras.Model) -> None:
        """Raises a ValueError if the network was made outside the strategy's scope."""

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """In which the model, its optimizer and its metrics are made."""
        return contextlib.nullcontext()

    def make_deterministic(self) -> None:
        """Asks the backend for the same bits in each run."""

    def model_to_fit(self, network: keras.Model) -> keras.Model:
        """The model whose `fit` is right here: it shares the network's weights."""
        return network

    def model_to_evaluate(self, network: keras.Model) -> keras.Model:
        """A model to compile and evaluate: it shares the network's weights, not its settings."""
        return keras.Model(network.inputs, classified(network), name=network.name)

    @abc.abstractmethod
    def training_batches(
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        steps_per_epoch: int,
        start_epoch: int,
        **options: Any,
    ) -> Any:
        """What `fit` takes: each replica's share of the same batches as on one device."""

    @abc.abstractmethod
    def validation_batches(self, dataset: ImageDataset, batch_size: int) -> Any:
        """The held-out images with their classes one-hot."""

    def fit(
        self, model: keras.Model, batches: Any, *, augment: Sequence[str], **options: Any
    ) -> None:
        """Trains a model that `model_to_fit` gave, as `Model.fit` with these options does.

        Args:
            model: The compiled model.
            batches: Batches from `training_batches`.
            augment: Augmentations of them.
            **options: Options of `Model.fit`.
        """
        model.fit(batches, shuffle=False, **options)  # they are; Keras warns of its default

    def evaluate(
        self, model: keras.Model, dataset: ImageDataset, batch_size: int
    ) -> dict[str, float]:
        """The loss and the metrics of a compiled model on the held-out images."""
        batches = self.validation_batches(dataset, batch_size)
        logs = model.evaluate(batches, verbose=0, return_dict=True)
        return {name: float(logs[name]) for name in ("loss", "accuracy")}

    def merge_statistics(self, network: keras.Model) -> None:
        """Gives all replicas the mean of what each has for itself, as BatchNormalization has."""

    def decorrelate(self, network: keras.Model) -> None:
        """Lets Dropout and the like draw differently on each replica."""

    def gather(self, value: int) -> list[int]:
        """What each process has for `value`."""
        return [value]

    @contextlib.contextmanager
    def owning(self, folder: Path) -> Iterator[None]:
        """Owns a run's folder; of several workers the first does, for all.

        Raises:
            ValueError: If another training runs there.
            OSError: If the folder can't be made or written.
        """
        with contextlib.ExitStack() as stack:
            refused: ValueError | OSError | None = None
            if self.is_chief:
                try:
                    stack.enter_context(owned(folder))
                except (ValueError, OSError) as error:
                    refused = error
            # None goes on before the first is through with what it did there before.
            if any(self.gather(int(refused is not None))):
                raise refused or ValueError(
                    "`out` must be a folder that the first worker can have to itself: what it says "
                    f"is the reason. Received: out={os.fspath(folder)!r}"
                )
            yield

    def explained_failures(self) -> contextlib.AbstractContextManager[Any]:
        """Says what it means when a failure is that of another process."""
        return contextlib.nullcontext()
