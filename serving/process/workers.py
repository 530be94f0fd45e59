"""Several processes behind the same two ports, for JSON that one Python can't read fast enough.

All accept from one REST socket, so that one may end while the others go on: what waits to be
accepted is theirs. gRPC's port is shared by the kernel. A worker that ends is replaced.
"""

import contextlib
import dataclasses
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess

from keras_attn.serving.lifecycle.model_config import read_model_config
from keras_attn.serving.lifecycle.version_policy import ModelEntry
from keras_attn.serving.metrics import MULTIPROCESS
from keras_attn.serving.options import ServerOptions
from keras_attn.serving.process.signals import Signals
from keras_attn.serving.process.tls import Tls
from keras_attn.serving.running_server import RunningServer, check_port

logger = logging.getLogger(__name__)

MARGIN_SECONDS = 10.0  # for a worker's end, past what it may drain
RETRY_SECONDS = 5.0  # after a worker that could not be replaced


@dataclasses.dataclass(frozen=True)
class Job:
    """What each worker serves, and where. The arguments are RunningServer's."""

    entries: Sequence[ModelEntry]
    host: str
    grpc_port: int | None
    options: ServerOptions
    tls: Tls | None
    model_config_file: str | os.PathLike[str] | None
    log_level: int


def run_workers(job: Job, listener: socket.socket, *, count: int, signals: Signals) -> int:
    """Runs workers until a signal comes, then ends them one and all.

    Args:
        job: What they serve. A `grpc_port` of 0 becomes a free one.
        listener: Of REST.
        count: How many.
        signals: That end it.

    Returns:
        How many workers had to be killed, because they had not ended in time.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as metrics, _reserve(job) as reserved:
        if reserved is not None:
            job = dataclasses.replace(job, grpc_port=reserved.getsockname()[1])
        os.environ[MULTIPROCESS] = metrics  # so that each answers with the numbers of all
        workers: list[BaseProcess] = []
        try:
            for _ in range(count):
                workers.append(_start(context, job, listener))
            logger.info("serving at http%s", _place(job, listener))
            next_try = 0.0
            while not signals.received:
                if time.monotonic() >= next_try and not _replace_ended(
                    workers, context, job, listener
                ):
                    next_try = time.monotonic() + RETRY_SECONDS
                time.sleep(0.2)
        finally:
            del os.environ[MULTIPROCESS]
            for worker in workers:
                worker.terminate()  # SIGTERM: it answers what is under way
            listener.close()  # else whoever comes now waits here for nobody
            killed = _join(workers, job.options.drain_seconds + MARGIN_SECONDS)
    return killed


def _join(workers: Sequence[BaseProcess], seconds: float) -> int:
    """Waits for all, kills those that have not ended by then, and returns how many."""
    end = time.monotonic() + seconds
    for worker in workers:
        worker.join(max(0.0, end - time.monotonic()))
    late = [worker for worker in workers if worker.is_alive()]
    for worker in late:
        logger.error("worker %s has not ended; it is killed", worker.pid)
        worker.kill()
        worker.join()
    return len(late)


def _place(job: Job, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    names = ", ".join(entry.name for entry in job.entries)
    grpc_place = "" if job.grpc_port is None else f", gRPC at {host}:{job.grpc_port}"
    return f"{'' if job.tls is None else 's'}://{host}:{port}: {names}{grpc_place}"


def _replace_ended(workers: list[BaseProcess], context, job: Job, listener: socket.socket) -> bool:
    """Starts another for each that has ended. Where that fails the others go on; returns False."""
    for index, worker in enumerate(workers):
        if not worker.is_alive():
            logger.warning("worker %s has ended (%s); another starts", worker.pid, worker.exitcode)
            try:
                workers[index] = _start(context, job, listener)
            except RuntimeError as error:
                logger.error("%s; the others go on, the next try is in %g s", error, RETRY_SECONDS)
                return False
    return True


def _start(context, job: Job, listener: socket.socket) -> BaseProcess:
    """Returns a worker that is ready; RuntimeError with its reason where it can't be."""
    ours, theirs = context.Pipe()
    worker = context.Process(target=_work, args=(job, listener, theirs), daemon=True)
    worker.start()
    theirs.close()
    try:
        reason = ours.recv()
    except EOFError:
        reason = "it ended before it was ready"
    if reason:
        worker.join()
        raise RuntimeError(f"A worker can't start: {reason}")
    logger.info("worker %d is ready", worker.pid)
    return worker


def _work(job: Job, listener: socket.socket, pipe: multiprocessing.connection.Connection) -> None:
    """The life of a worker process."""
    logging.basicConfig(format=f"{os.getpid()}: %(message)s", level=job.log_level)
    # Ctrl-C reaches all of the terminal's processes; the parent tells its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    with Signals(signal.SIGTERM) as signals:
        try:
            server = RunningServer(
                _entries(job),
                listener,
                host=job.host,
                grpc_port=job.grpc_port,
                options=job.options,
                tls=job.tls,
                model_config_file=job.model_config_file,
                one_of_many=True,
            )
        except (ValueError, OSError, RuntimeError) as error:
            pipe.send(str(error))
            return
        pipe.send("")
        try:
            while not signals.received and parent is not None and parent.is_alive():
                time.sleep(0.2)
        finally:
            left = server.stop()
    if left:
        logging.shutdown()
        os._exit(1)  # Python would wait for their threads


def _entries(job: Job) -> Sequence[ModelEntry]:
    """The models by the file as it is now, for a worker that replaces another."""
    if job.model_config_file is None or not job.options.model_config_file_poll_wait_seconds:
        return job.entries
    try:
        return read_model_config(job.model_config_file)
    except (ValueError, OSError) as error:
        logger.error("%s; the models are those of the start", error)
        return job.entries


def _reserve(job: Job) -> "socket.socket | contextlib.nullcontext[None]":
    """Holds gRPC's port for the workers, who share it; OSError where another has it."""
    if job.grpc_port is None:
        return contextlib.nullcontext()
    check_port("grpc_port", job.grpc_port)
    family = socket.AF_INET6 if ":" in job.host else socket.AF_INET
    try:
        with socket.socket(family) as alone:  # fails where even one that shares has it
            # But not where connections of a server that has ended linger.
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((job.host, job.grpc_port))
            port = alone.getsockname()[1]
        reserved = socket.socket(family)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind((job.host, port))
    except OSError as error:
        raise OSError(
            f"port {job.grpc_port} at {job.host} can't be had for gRPC; choose another"
        ) from error
    return reserved
