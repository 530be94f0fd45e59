"""Several processes behind the same two ports, for JSON that one Python can't read fast enough.

All accept from one REST socket, so that one may end while the others go on: what waits to be
accepted is theirs. gRPC's port is shared by the kernel. A worker that ends is replaced.
"""

import contextlib
import dataclasses
import functools
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess

from keras_attn.serving.config import ServerConfig
from keras_attn.serving.lifecycle.model_config import read_model_config
from keras_attn.serving.metrics import MULTIPROCESS
from keras_attn.serving.process.ports import bind, bind_shared, close_queue, host_of
from keras_attn.serving.process.signals import Signals
from keras_attn.serving.server import Server

logger = logging.getLogger(__name__)

MARGIN_SECONDS = 10.0  # for a worker's end, past what it may drain
LOOK_SECONDS = 0.2  # between two looks at whether the other processes live
RETRY_SECONDS = 5.0  # after a worker that could not be replaced


def run_workers(config: ServerConfig, *, count: int, signals: Signals) -> int:
    """Runs workers until a signal comes, then ends them one and all.

    Args:
        config: The models that they serve, and the ports.
        count: How many there are.
        signals: The signals that end them.

    Returns:
        How many workers had to be killed, because they had not ended in time.
    """
    with (
        bind(*config.rest_address) as listener,
        tempfile.TemporaryDirectory() as metrics,
        _reserve(config) as reserved,
    ):
        if reserved is not None:
            config = dataclasses.replace(config, grpc_port=reserved.getsockname()[1])
        os.environ[MULTIPROCESS] = metrics  # so that each answers with the numbers of all
        start = functools.partial(_start, config, listener)
        workers: list[BaseProcess] = []
        try:
            for _ in range(count):
                workers.append(start())
            logger.info("serving at http%s", _place(config, listener))
            next_try = 0.0
            while not signals.wait(LOOK_SECONDS):
                if time.monotonic() >= next_try and not _replace_ended(workers, start):
                    next_try = time.monotonic() + RETRY_SECONDS
        finally:
            del os.environ[MULTIPROCESS]
            close_queue(listener)
            for worker in workers:
                worker.terminate()  # SIGTERM: it answers what is under way
            listener.close()  # else whoever comes now waits here for nobody
            killed = _join(workers, config.options.drain_seconds + MARGIN_SECONDS)
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


def _place(config: ServerConfig, listener: socket.socket) -> str:
    host, port = host_of(listener), listener.getsockname()[1]
    names = ", ".join(model.name for model in config.models)
    grpc_place = "" if config.grpc_port is None else f", gRPC at {host}:{config.grpc_port}"
    return f"{'' if config.tls is None else 's'}://{host}:{port}: {names}{grpc_place}"


def _replace_ended(workers: list[BaseProcess], start: Callable[[], BaseProcess]) -> bool:
    """Starts another for each that has ended. Where that fails the others go on; returns False."""
    for index, worker in enumerate(workers):
        if not worker.is_alive():
            logger.warning("worker %s has ended (%s); another starts", worker.pid, worker.exitcode)
            try:
                workers[index] = start()
            except RuntimeError as error:
                logger.error("%s; the others go on, the next try is in %g s", error, RETRY_SECONDS)
                return False
    return True


def _start(config: ServerConfig, listener: socket.socket) -> BaseProcess:
    """Returns a worker that is ready; RuntimeError with its reason where it can't be."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    log_level = logging.getLogger().getEffectiveLevel()
    worker = context.Process(target=_work, args=(config, listener, theirs, log_level), daemon=True)
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


def _work(
    config: ServerConfig,
    listener: socket.socket,
    pipe: multiprocessing.connection.Connection,
    log_level: int,
) -> None:
    """The life of a worker process."""
    logging.basicConfig(format=f"{os.getpid()}: %(message)s", level=log_level)
    # Ctrl-C reaches all of the terminal's processes; the parent tells its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    with Signals(signal.SIGTERM) as signals:
        server = Server(_newest(config), shared=listener)
        try:
            server.start()
        except (ValueError, OSError, RuntimeError) as error:
            pipe.send(str(error))
            return
        pipe.send("")
        try:
            while not signals.wait(LOOK_SECONDS) and parent is not None and parent.is_alive():
                pass
        finally:
            left = server.stop()
    if left:
        logging.shutdown()
        os._exit(1)  # Python would wait for their threads


def _newest(config: ServerConfig) -> ServerConfig:
    """The models by the file as it is now, for a worker that replaces another."""
    file = config.model_config_file
    if file is None or not config.options.model_config_file_poll_wait_seconds:
        return config
    try:
        return dataclasses.replace(config, models=read_model_config(file))
    except (ValueError, OSError) as error:
        logger.error("%s; the models are those of the start", error)
        return config


def _reserve(config: ServerConfig) -> "contextlib.AbstractContextManager[socket.socket | None]":
    """Holds gRPC's port for the workers, who share it."""
    if config.grpc_port is None:
        return contextlib.nullcontext()
    return bind_shared(config.host, config.grpc_port)
