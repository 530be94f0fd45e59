"""The parameters of batching, as TF Serving has them."""

import dataclasses
import os
from typing import Any

from keras_attn.serving.protos import BatchingParameters, read_text_proto


@dataclasses.dataclass(frozen=True)
class BatchingOptions:
    """TF Serving's BatchingParameters, with its defaults.

    Args:
        max_batch_size: The most images of a batch. A request of more is refused, unless it may be
            split.
        batch_timeout_micros: How long the first request of a batch waits for others while there
            is a thread to run it.
        max_enqueued_batches: The length of a queue; a request past it is refused with UNAVAILABLE.
        num_batch_threads: How many batches run at once. Default: the number of processors.
        allowed_batch_sizes: Batches are filled up to one of these, so that the network sees few
            different shapes. Increasing; the last is `max_batch_size`.
        pad_variable_length_inputs: Whether inputs of different shapes are padded to the largest,
            with their own first element, and share a batch.
        enable_large_batch_splitting: Whether a request may be split over several batches.
        max_execution_batch_size: Then, the most images of a batch that is run.
        thread_pool_name: A label in the metrics.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = dataclasses.field(default_factory=lambda: os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int | None = None
    thread_pool_name: str = "model_server_batch_threads"

    def __post_init__(self) -> None:
        for name, least in {
            "max_batch_size": 1,
            "batch_timeout_micros": 0,
            "max_enqueued_batches": 1,
            "num_batch_threads": 1,
        }.items():
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value}")
        sizes = self.allowed_batch_sizes
        if list(sizes) != sorted(set(sizes)) or (sizes and sizes[0] < 1):
            raise ValueError(
                "`allowed_batch_sizes` entries must be in increasing order. "
                f"Received: allowed_batch_sizes={list(sizes)}"
            )
        if sizes and sizes[-1] != self.max_batch_size:  # as there, where batches are split too
            raise ValueError(
                "Last entry in `allowed_batch_sizes` must match `max_batch_size`; last entry was "
                f"{sizes[-1]}; expected {self.max_batch_size}"
            )
        if not 1 <= self.largest_run <= self.max_batch_size:
            raise ValueError(
                "`max_execution_batch_size` must be from 1 to `max_batch_size`. Received: "
                f"max_execution_batch_size={self.max_execution_batch_size}"
            )

    @classmethod
    def from_proto(cls, proto: Any) -> "BatchingOptions":
        """Returns the options of a BatchingParameters; what it leaves out has its default."""
        values: dict[str, Any] = {
            "allowed_batch_sizes": tuple(proto.allowed_batch_sizes),
            "pad_variable_length_inputs": proto.pad_variable_length_inputs,
        }
        for field in dataclasses.fields(cls):
            if field.name not in values and proto.HasField(field.name):
                values[field.name] = getattr(proto, field.name).value
        return cls(**values)

    @property
    def largest_run(self) -> int:
        """The most images that are run at once."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size is not None:
            return self.max_execution_batch_size
        return self.max_batch_size

    @property
    def run_sizes(self) -> tuple[int, ...]:
        """The allowed sizes that batches are filled up to, from the least to the greatest."""
        before = (0, *self.allowed_batch_sizes)
        return tuple(
            size
            for smaller, size in zip(before, self.allowed_batch_sizes, strict=False)
            if smaller < self.largest_run
        )

    def padded_size(self, size: int) -> int:
        """Returns the allowed size that a batch is filled up to."""
        return next((allowed for allowed in self.allowed_batch_sizes if allowed >= size), size)


def read_batching_options(path: str | os.PathLike[str]) -> BatchingOptions:
    """Returns the options of a file in the text format of BatchingParameters."""
    return BatchingOptions.from_proto(read_text_proto(path, BatchingParameters()))
