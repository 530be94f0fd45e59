"""Where training runs: one device, several of a machine, or several machines."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_attn.data.image_dataset import ImageDataset
from keras_attn.training.placement.cluster import (
    Cluster,
    read_cluster,
    unreachable,
    wait_for_workers,
)
from keras_attn.training.run_folder.ownership import owned

if TYPE_CHECKING:
    import tensorflow as tf

STRATEGIES = ("one-device", "mirrored", "multi-worker", "parameter-server", "tpu")


def get_strategy(name: str, *, timeout: float = 300.0) -> "tf.distribute.Strategy":
    """Gives the tf.distribute strategy of that name.

    Args:
        name: `"one-device"` is TensorFlow's default: the first visible GPU, else the CPU.
            `"mirrored"` is a replica on each visible GPU, else on each logical CPU device. There
            is one of these, unless `tf.config.set_logical_device_configuration` made more: a way
            to try it out. `"multi-worker"` is that on each of the machines, or processes, that
            the environment variable TF_CONFIG names; it waits for them, and must be made before
            TensorFlow does anything else. `"parameter-server"` is for the chief of a TF_CONFIG
            with `ps` and `worker` tasks, see `parameter_server.py`. `"tpu"` is the TPU that
            TensorFlow finds. Tried on CPU devices and on processes of one machine; on several
            GPUs and on TPUs it has not run.
        timeout: For how many seconds `"multi-worker"` waits for the other processes.

    Returns:
        A `tf.distribute.Strategy`. Build the model in its `scope()`.

    Raises:
        ValueError: If there is no strategy of that name, or TF_CONFIG is wrong.
        TimeoutError: If a worker doesn't come; it says which.
        RuntimeError: If TensorFlow has started before `"multi-worker"`, or there is no TPU.
        ImportError: If TensorFlow is not installed, or not the backend.

    Example:
        >>> get_strategy("one-device").num_replicas_in_sync
        1
    """
    if name not in STRATEGIES:
        raise ValueError(
            f"`strategy` must be one of {', '.join(map(repr, STRATEGIES))}. "
            f"Received: strategy={name!r}"
        )
    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            f"The strategy {name!r} is TensorFlow's, and Keras runs on "
            f"{keras.backend.backend()!r} here. Set KERAS_BACKEND=tensorflow."
        )
    import tensorflow as tf

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
    if name == "multi-worker":
        cluster = read_cluster()
        wait_for_workers(cluster, timeout)
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "parameter-server":
        from keras_attn.training.placement.parameter_server import make_parameter_server_strategy

        return make_parameter_server_strategy()
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except Exception as error:
        raise RuntimeError(f"TensorFlow finds no TPU: {error}") from error
    return tf.distribute.TPUStrategy(resolver)


def place(strategy: "str | tf.distribute.Strategy") -> "Placement":
    """Where a training with that strategy runs, on any backend.

    Raises:
        ValueError: If it is neither a name nor a strategy.
    """
    if keras.backend.backend() != "tensorflow" and strategy == "one-device":
        return Placement(None)
    if isinstance(strategy, str):
        return Placement(get_strategy(strategy))
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.Strategy):
        raise ValueError(
            "`strategy` must be the name of a strategy or a tf.distribute.Strategy. "
            f"Received: strategy={strategy!r}"
        )
    return Placement(strategy)


class Placement:
    """Hides from `train` which backend and how many replicas and processes there are.

    Args:
        strategy: The strategy; `None` on backends other than TensorFlow.
    """

    def __init__(self, strategy: "tf.distribute.Strategy | None") -> None:
        self.strategy = strategy
        self.replicas = 1 if strategy is None else strategy.num_replicas_in_sync
        self.cluster = Cluster(workers=("localhost:0",), index=0)
        if self.has_workers:
            self.cluster = read_cluster()
        self.is_chief = self.cluster.is_chief

    @property
    def is_asynchronous(self) -> bool:
        """Whether parameter servers keep the weights."""
        return type(self.strategy).__name__ == "ParameterServerStrategyV2"

    @property
    def has_workers(self) -> bool:
        """Whether there are several processes."""
        workers = type(self.strategy).__name__ == "CollectiveAllReduceStrategy"
        return workers and len(read_cluster().workers) > 1

    def scope(self) -> contextlib.AbstractContextManager:
        """In which the model, its optimizer and its metrics are made."""
        if self.strategy is None or (self.replicas == 1 and not self.is_asynchronous):
            return contextlib.nullcontext()
        return self.strategy.scope()

    def fit(self, model: keras.Model, batches: Any, **options: Any) -> None:
        """Trains a model that `model_to_fit` gave, as `Model.fit` with these options does."""
        if not self.is_asynchronous:
            model.fit(batches, shuffle=False, **options)  # they are; Keras warns of its default
            if keras.backend.backend() == "jax":
                # With an average of the weights, network and optimizer end with the same buffers:
                # the next `predict` would give them away.
                for variable in model.optimizer.variables:
                    variable.assign(variable.numpy())
            return
        from keras_attn.training.placement.parameter_server import fit_asynchronously

        fit_asynchronously(model, batches, **options)

    def evaluate(
        self, model: keras.Model, dataset: ImageDataset, batch_size: int
    ) -> dict[str, float]:
        """The loss and the metrics of a compiled model on the held-out images."""
        batches = self.validation_batches(dataset, batch_size)
        if not self.is_asynchronous:
            logs = model.evaluate(batches, verbose=0, return_dict=True)
            return {name: float(logs[name]) for name in ("loss", "accuracy")}
        from keras_attn.training.placement.parameter_server import evaluate_here

        return evaluate_here(model, batches)

    def model_to_fit(self, network: keras.Model) -> keras.Model:
        """The model whose `fit` is right here: it shares the network's weights."""
        if self.replicas == 1:
            return network
        from keras_attn.training.placement.distributed_model import DistributedModel

        return DistributedModel(network)

    def model_to_evaluate(self, network: keras.Model) -> keras.Model:
        """A model to compile and evaluate: it shares the network's weights, not its settings."""
        if self.replicas == 1:
            return keras.Model(network.inputs, network.outputs[0], name=network.name)
        return self.model_to_fit(network)

    def merge_statistics(self, network: keras.Model) -> None:
        """Gives all replicas the mean of what each has for itself, as BatchNormalization has."""
        if self.replicas > 1 and not self.is_asynchronous:
            from keras_attn.training.placement.distributed_model import merge_statistics

            merge_statistics(network)

    def check_scope(self, network: keras.Model) -> None:
        """Raises a ValueError if the network was made outside the strategy's scope."""
        if self.replicas > 1 and network.distribute_strategy.num_replicas_in_sync != self.replicas:
            raise ValueError(
                "`build_model` must make the model when it is called: made before, outside the "
                "strategy's scope, it would train on one device"
            )

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

    def decorrelate(self, network: keras.Model) -> None:
        """Lets Dropout and the like draw differently on each replica."""
        if self.replicas > 1:
            from keras_attn.training.placement.distributed_model import decorrelate

            decorrelate(network)

    def make_deterministic(self) -> None:
        """Asks TensorFlow for the same bits in each run."""
        if self.strategy is not None:
            import tensorflow as tf

            tf.config.experimental.enable_op_determinism()

    def gather(self, value: int) -> list[int]:
        """What each process has for `value`."""
        strategy = self.strategy
        if strategy is None or not self.has_workers:
            return [value]
        import tensorflow as tf

        mine = strategy.run(lambda: tf.constant([value], tf.int64))
        values = strategy.gather(mine, axis=0).numpy()
        return [int(v) for v in values[:: self.replicas // len(self.cluster.workers)]]

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
        if self.strategy is None:
            from keras_attn.data.batches.sequence import TrainingSequence

            return TrainingSequence(
                dataset,
                batch_size,
                steps_per_epoch=steps_per_epoch,
                start_epoch=start_epoch,
                **options,
            )
        from keras_attn.data.batches.tensorflow_pipeline import training_batches

        start_step = start_epoch * steps_per_epoch
        if self.is_asynchronous:
            return lambda: training_batches(dataset, batch_size, **options)
        if self.replicas == 1:
            return training_batches(dataset, batch_size, start_step=start_step, **options)

        def of_worker(context: "tf.distribute.InputContext") -> "tf.data.Dataset":
            local = self.replicas // context.num_input_pipelines
            first = context.input_pipeline_id * local
            return training_batches(
                dataset,
                batch_size,
                start_step=start_step,
                replicas=range(first, first + local),
                num_replicas=self.replicas,
                **options,
            )

        return self.strategy.distribute_datasets_from_function(of_worker)

    def validation_batches(self, dataset: ImageDataset, batch_size: int) -> Any:
        """The held-out images with their classes one-hot."""
        if self.strategy is None:
            from keras_attn.data.batches.sequence import EvaluationSequence

            return EvaluationSequence(dataset, batch_size)
        import tensorflow as tf

        classes = dataset.num_classes
        return self._evaluation_batches(dataset, batch_size).map(
            lambda images, labels: (images, tf.one_hot(labels, classes))
        )

    def _evaluation_batches(self, dataset: ImageDataset, batch_size: int) -> "tf.data.Dataset":
        import tensorflow as tf

        from keras_attn.data.batches.tensorflow_pipeline import evaluation_batches

        options = tf.data.Options()
        policy = tf.data.experimental.AutoShardPolicy
        options.experimental_distribute.auto_shard_policy = (
            policy.DATA if self.has_workers else policy.OFF
        )
        return evaluation_batches(dataset, batch_size).with_options(options)

    @contextlib.contextmanager
    def explained_failures(self) -> Iterator[None]:
        """Says what it means when TensorFlow reports that another worker is gone."""
        if not self.has_workers:
            yield
            return
        try:
            yield
        except (FloatingPointError, KeyboardInterrupt):
            raise  # of this process's own, and of all others' alike
        except Exception as error:
            missing = unreachable(self.cluster)
            if not missing:
                raise
            raise RuntimeError(
                f"{' and '.join(missing)} stopped, or can't be reached any more. Start all workers "
                "again with the same command: the training goes on after the last whole epoch."
            ) from error
