"""Requests that wait share a run; each gets its own rows, or its own error."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading

import numpy as np
import pytest

from keras_attn.serving.batching.options import BatchingOptions
from keras_attn.serving.batching.scheduler import BatchScheduler
from keras_attn.serving.errors import Code, ServingError, invalid_argument
from keras_attn.serving.metrics import Metrics


class Session:
    """Doubles `x`; `gate` holds its runs back; notes the shapes that it sees."""

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.shapes = []

    def run(self, feeds, fetches):
        self.started.set()
        assert self.gate.wait(30)
        x = feeds["x"]
        self.shapes.append(x.shape)
        if (x == 666).any():
            raise invalid_argument("a bad number")
        outputs = {"y": 2 * x, "sum": x.sum(keepdims=False), "first": x[:1]}
        return [outputs[name] for name in fetches]


@pytest.fixture
def session():
    return Session()


@pytest.fixture
def make(session):
    schedulers = contextlib.ExitStack()

    def make(**options):
        options = {"num_batch_threads": 1, **options}
        scheduler = BatchScheduler(BatchingOptions(**options), metrics=Metrics())
        return schedulers.enter_context(scheduler).wrap(session.run)

    yield make
    session.gate.set()
    schedulers.close()


def together(session, run, arrays, fetches=("y",)):
    """Runs one array to hold the thread, then all the others while it is held."""
    session.gate.clear()
    session.started.clear()
    pool = concurrent.futures.ThreadPoolExecutor(len(arrays) + 1)
    first = pool.submit(run, {"x": np.zeros((1, 1))}, ("y",))
    assert session.started.wait(30)
    futures = []
    for array in arrays:
        futures.append(pool.submit(run, {"x": array}, fetches))
        wait_for_tasks(run, len(futures))
    session.gate.set()
    first.result(30)
    concurrent.futures.wait(futures, 30)
    pool.shutdown()
    return futures


def wait_for_tasks(run, count):
    """Until that many wait in the queues, so that their order is known; or were refused."""
    scheduler = run.__closure__[[*run.__code__.co_freevars].index("self")].cell_contents
    for _ in range(500):
        tasks = sum(len(b) for q in scheduler._queues.values() for b in q.batches)
        if tasks >= count:
            return
        threading.Event().wait(0.002)


def rows(values):
    return np.float64(values)[:, None]


def test_those_that_wait_are_run_as_one(session, make):
    run = make()
    futures = together(session, run, [rows([1]), rows([2, 3]), rows([4])])
    assert [future.result()[0].ravel().tolist() for future in futures] == [[2], [4, 6], [8]]
    assert session.shapes == [(1, 1), (4, 1)]


def test_the_size_of_a_batch_is_bounded(session, make):
    run = make(max_batch_size=3)
    futures = together(session, run, [rows([1]), rows([2, 3]), rows([4, 5])])
    assert [future.result()[0].ravel().tolist() for future in futures] == [[2], [4, 6], [8, 10]]
    assert session.shapes == [(1, 1), (3, 1), (2, 1)]
    with pytest.raises(ServingError, match="Task size 4 is larger than maximum input batch size 3"):
        run({"x": rows([1, 2, 3, 4])}, ("y",))


def test_batches_are_filled_up_to_an_allowed_size(session, make):
    run = make(max_batch_size=8, allowed_batch_sizes=(2, 4, 8))
    futures = together(session, run, [rows([1]), rows([2, 3])])
    assert [future.result()[0].ravel().tolist() for future in futures] == [[2], [4, 6]]
    assert session.shapes == [(2, 1), (4, 1)]


def test_a_large_request_is_split(session, make):
    run = make(
        max_batch_size=8,
        enable_large_batch_splitting=True,
        max_execution_batch_size=3,
        allowed_batch_sizes=(1, 3, 8),
    )
    (output,) = run({"x": rows(range(8))}, ("y",))
    assert output.ravel().tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    assert session.shapes == [(3, 1)] * 3  # the last is filled up


def test_a_full_queue_refuses(session, make):
    run = make(max_batch_size=2, max_enqueued_batches=2)
    arrays = [rows([1, 1]), rows([2, 2]), rows([3, 3])]
    futures = together(session, run, arrays)
    assert futures[1].result()[0].ravel().tolist() == [4, 4]
    error = futures[2].exception()
    assert error.code == Code.UNAVAILABLE
    assert error.message.startswith(
        "The batch scheduling queue to which this task was submitted is"
    )


def test_a_neighbours_error_is_its_own(session, make):
    futures = together(session, make(), [rows([1]), rows([666]), rows([3])])
    assert futures[0].result()[0].ravel().tolist() == [2]
    assert futures[1].exception().message == "a bad number"
    assert futures[2].result()[0].ravel().tolist() == [6]


def test_different_shapes_do_not_mix_unless_they_are_padded(session, make):
    arrays = [np.full((1, 2), 3.0), np.full((1, 4), 5.0)]
    futures = together(session, make(), arrays)
    assert [future.result()[0].shape for future in futures] == [(1, 2), (1, 4)]
    assert sorted(session.shapes) == [(1, 1), (1, 2), (1, 4)]
    session.shapes.clear()
    futures = together(session, make(pad_variable_length_inputs=True), arrays)
    assert session.shapes[-1] == (2, 4)
    assert futures[0].result()[0].tolist() == [[6.0, 6.0, 6.0, 6.0]]


def test_a_batch_waits_for_its_timeout(session, make):
    run = make(max_batch_size=2, batch_timeout_micros=30_000_000)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:  # neither waits: together they are full
        futures = [pool.submit(run, {"x": rows([i])}, ("y",)) for i in range(2)]
        assert [future.result(20)[0].item() for future in futures] == [0, 2]
    assert session.shapes == [(2, 1)]


@pytest.mark.parametrize(
    ("x", "fetch", "message"),
    [
        (np.float64(1), "y", "must have at least one dimension"),
        (rows([1]), "sum", "Batched output tensor has 0 dimensions"),
        (rows([1, 2]), "first", "does not equal the sum of the 0th dimension sizes"),
    ],
)
def test_what_has_no_batch_can_not_be_batched(make, x, fetch, message):
    with pytest.raises(ServingError, match=message):
        make()({"x": x}, (fetch,))


def test_after_the_stop_nothing_waits(session):
    with BatchScheduler(BatchingOptions(), metrics=Metrics()) as scheduler:
        run = scheduler.wrap(session.run)
    with pytest.raises(ServingError, match="The server stops") as caught:
        run({"x": np.ones((1, 2))}, ["y"])
    assert caught.value.code == Code.UNAVAILABLE


def test_unequal_batches_and_empty_ones(session, make):
    run = make()
    with pytest.raises(ServingError, match="must have equal 0th-dimension size"):
        run({"x": rows([1]), "z": rows([1, 2])}, ("y",))
    assert run({"x": np.zeros((0, 1))}, ("y",))[0].shape == (0, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_batch_size": 0}, "`max_batch_size` must be at least 1"),
        ({"batch_timeout_micros": -1}, "`batch_timeout_micros` must be at least 0"),
        ({"num_batch_threads": 0}, "`num_batch_threads` must be at least 1"),
        ({"allowed_batch_sizes": (4, 2)}, "must be in increasing order"),
        ({"max_batch_size": 8, "allowed_batch_sizes": (2, 4)}, "last entry was 4; expected 8"),
        (
            {
                "max_batch_size": 64,
                "allowed_batch_sizes": (4, 16),
                "enable_large_batch_splitting": True,
                "max_execution_batch_size": 16,
            },
            "last entry was 16; expected 64",
        ),
        (
            {
                "max_batch_size": 4,
                "enable_large_batch_splitting": True,
                "max_execution_batch_size": 5,
            },
            "`max_execution_batch_size` must be from 1 to",
        ),
    ],
)
def test_wrong_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        BatchingOptions(**options)
