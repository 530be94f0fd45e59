"""Dynamic batching: requests that wait are run as one batch, by TF Serving's parameters.

Two things differ from TF Serving, both so that a request can't fail because of its neighbours.
Inputs of different shapes go into different batches, where TF Serving fails a mixed one. When the
run of a batch fails, each request of it is run alone and gets its own answer or error.
"""

import collections
import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Mapping, Sequence

import numpy as np

from keras_attn.serving.batching.options import BatchingOptions
from keras_attn.serving.errors import Code, ServingError, invalid_argument
from keras_attn.serving.metrics import Metrics
from keras_attn.serving.models.served_model import Run


@dataclasses.dataclass
class Task:
    """One request, or a part of one, that waits for its outputs."""

    feeds: Mapping[str, np.ndarray]
    enqueued: float = dataclasses.field(default_factory=time.monotonic)
    outputs: concurrent.futures.Future[list[np.ndarray]] = dataclasses.field(
        default_factory=concurrent.futures.Future
    )

    @property
    def size(self) -> int:
        """How many images."""
        return len(next(iter(self.feeds.values())))


@dataclasses.dataclass
class Queue:
    """What waits for one model's one set of outputs, in batches; only the last takes more."""

    run: Run
    fetches: Sequence[str]
    options: BatchingOptions
    batches: collections.deque[list[Task]] = dataclasses.field(default_factory=collections.deque)

    def add(self, task: Task) -> None:
        """Puts a task into the open batch, or into a new one."""
        largest = self.options.largest_run
        if self.batches and sum(t.size for t in self.batches[-1]) + task.size <= largest:
            self.batches[-1].append(task)
        elif len(self.batches) < self.options.max_enqueued_batches:
            self.batches.append([task])
        else:
            raise ServingError(
                Code.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full; "
                f"it holds {len(self.batches)} batches",
            )

    def ready_at(self) -> float:
        """The time from which the first batch may be run."""
        first = self.batches[0]
        full = sum(task.size for task in first) >= self.options.largest_run
        if full or len(self.batches) > 1:
            return 0.0
        return first[0].enqueued + self.options.batch_timeout_micros * 1e-6


class BatchScheduler:
    """The threads that run batches, shared by all models, from `__enter__` to `__exit__`.

    Args:
        options: How requests are gathered. `num_batch_threads` is for all models together.
        metrics: Numbers to which sizes and waits are added.
    """

    def __init__(self, options: BatchingOptions, *, metrics: Metrics):
        self._options = options
        self._metrics = metrics
        self._queues: dict[tuple[object, ...], Queue] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "BatchScheduler":
        for index in range(self._options.num_batch_threads):
            thread = threading.Thread(target=self._work, name=f"batch-{index}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        """Runs what waits, and ends the threads."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def wrap(self, run: Run, options: BatchingOptions | None = None) -> Run:
        """Returns a `run` that waits for others of the same signature and is run with them.

        Args:
            run: The `run` of a model's session.
            options: How this model's requests are gathered. Default: the scheduler's.
        """
        options = options or self._options

        def run_batched(
            feeds: Mapping[str, np.ndarray], fetches: Sequence[str]
        ) -> list[np.ndarray]:
            size = _batch_size(feeds)
            if size == 0:
                return run(feeds, fetches)
            if size > options.max_batch_size and not options.enable_large_batch_splitting:
                raise invalid_argument(
                    f"Task size {size} is larger than maximum input batch size "
                    f"{options.max_batch_size}"
                )
            self._metrics.input_batch_size.observe(size)
            step = options.largest_run
            parts = [
                Task({name: array[i : i + step] for name, array in feeds.items()})
                for i in range(0, size, step)
            ]
            self._enqueue(Queue(run, fetches, options), parts)
            outputs: list[list[np.ndarray]] = [task.outputs.result() for task in parts]
            if len(outputs) == 1:
                return outputs[0]
            return [np.concatenate(arrays) for arrays in zip(*outputs, strict=True)]

        return run_batched

    def _enqueue(self, new: Queue, tasks: Sequence[Task]) -> None:
        shapes = tuple(
            (name, array.ndim if new.options.pad_variable_length_inputs else array.shape[1:])
            for name, array in tasks[0].feeds.items()
        )
        key = (id(new.run), tuple(new.fetches), shapes)
        with self._changed:
            if self._stopped:
                raise ServingError(Code.UNAVAILABLE, "The server stops: no batch is run any more")
            queue = self._queues.setdefault(key, new)
            try:
                for task in tasks:
                    queue.add(task)
            finally:
                self._changed.notify(len(tasks))

    def _work(self) -> None:
        while True:
            with self._changed:
                found = self._take()
                while found is None:
                    if self._stopped and not self._queues:
                        return
                    self._changed.wait(self._wait_seconds())
                    found = self._take()
            queue, batch = found
            now = time.monotonic()
            waits = self._metrics.queuing_latency.labels(queue.options.thread_pool_name)
            for task in batch:
                waits.observe((now - task.enqueued) * 1e6)
            self._run(queue, batch)

    def _take(self) -> tuple[Queue, list[Task]] | None:
        """The batch that has waited longest of those that may be run. A queue goes once empty."""
        now = time.monotonic()
        ready = [
            (queue.batches[0][0].enqueued, key)
            for key, queue in self._queues.items()
            if self._stopped or queue.ready_at() <= now
        ]
        if not ready:
            return None
        _, key = min(ready, key=lambda entry: entry[0])
        queue = self._queues[key]
        batch = queue.batches.popleft()
        if not queue.batches:
            del self._queues[key]
        return queue, batch

    def _wait_seconds(self) -> float | None:
        if not self._queues:
            return None
        next_at = min(queue.ready_at() for queue in self._queues.values())
        return max(next_at - time.monotonic(), 0.0)

    def _run(self, queue: Queue, batch: list[Task]) -> None:
        try:
            split = self._run_merged(queue, batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].outputs.set_exception(error)
            else:
                for task in batch:
                    self._run(queue, [task])
            return
        for task, arrays in zip(batch, split, strict=True):
            task.outputs.set_result(arrays)

    def _run_merged(self, queue: Queue, batch: list[Task]) -> list[list[np.ndarray]]:
        size = sum(task.size for task in batch)
        padding = queue.options.padded_size(size) - size
        self._metrics.padding_size.labels(str(size + padding)).observe(padding)
        self._metrics.processed_batch_size.observe(size + padding)
        self._metrics.wrapped_run_count.inc()
        feeds = {
            name: _merge([task.feeds[name] for task in batch], padding) for name in batch[0].feeds
        }
        outputs = queue.run(feeds, queue.fetches)
        for array in outputs:
            if array.ndim == 0:
                raise ServingError(
                    Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions"
                )
            if len(array) != size + padding:
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    "Batched output tensor's 0th dimension does not equal the sum of the "
                    "0th dimension sizes of the input tensors",
                )
        ends = np.cumsum([task.size for task in batch])
        return [
            [array[end - task.size : end] for array in outputs]
            for task, end in zip(batch, ends, strict=True)
        ]


def _batch_size(feeds: Mapping[str, np.ndarray]) -> int:
    if any(array.ndim == 0 for array in feeds.values()):
        raise invalid_argument("Batching Run() input tensors must have at least one dimension")
    sizes = {len(array) for array in feeds.values()}
    if len(sizes) != 1:
        raise invalid_argument("Batching Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()


def _merge(arrays: list[np.ndarray], padding: int) -> np.ndarray:
    """Joins along the batch. Differing sides are padded with the array's own first element."""
    sides = [max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True)]
    arrays = [_pad(array, sides) for array in arrays]
    arrays += [arrays[-1][:1]] * padding
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _pad(array: np.ndarray, sides: list[int]) -> np.ndarray:
    if list(array.shape[1:]) == sides:
        return array
    padded = np.full((len(array), *sides), array.flat[0], array.dtype)
    padded[tuple(slice(size) for size in array.shape)] = array
    return padded
