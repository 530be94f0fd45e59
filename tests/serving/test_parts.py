"""A server is a configuration, and parts that start in order and stop in reverse order."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import signal
import socket
import struct
import threading
import time

import pytest

from helpers import serving_models
from keras_attn import serving
from keras_attn.serving import (
    BatchingOptions,
    Server,
    ServerConfig,
    ServerOptions,
    predict,
    start_server,
)
from keras_attn.serving.batching.scheduler import BatchScheduler
from keras_attn.serving.grpc.server import GrpcServer
from keras_attn.serving.lifecycle.manager import ModelManager
from keras_attn.serving.lifecycle.poller import Poller
from keras_attn.serving.lifecycle.version_policy import ModelEntry
from keras_attn.serving.models.served_model import ServedModel
from keras_attn.serving.process.memory import MemoryTrimmer
from keras_attn.serving.process.ports import bind
from keras_attn.serving.process.signals import Signals
from keras_attn.serving.rest.server import BACKLOG, HttpServer

PARTS = [MemoryTrimmer, ModelManager, BatchScheduler, Poller, HttpServer, GrpcServer]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts") / "m"
    serving_models.save_doubler(folder / "1")
    return folder


@pytest.fixture
def config(base):
    options = ServerOptions(batching=BatchingOptions(num_batch_threads=2), drain_seconds=5)
    return ServerConfig([ModelEntry("m", base)], port=0, grpc_port=0, options=options)


@pytest.fixture
def threads():
    """The threads that a server has started and not ended."""
    before = set(threading.enumerate())
    return lambda: {thread.name for thread in set(threading.enumerate()) - before}


def sockets():
    """The sockets that the process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own is gone
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return {link for link in found if link.startswith("socket:")}


def test_nothing_happens_before_the_start(config, threads, monkeypatch):
    loaded = []
    load = ServedModel.__init__
    monkeypatch.setattr(
        ServedModel, "__init__", lambda self, *a, **k: loaded.append(a) or load(self, *a, **k)
    )
    before = sockets()
    server = Server(config)
    assert threads() == set()
    assert sockets() == before
    assert loaded == []
    with server:
        assert {"http", "memory-trimmer", "version-poller", "batch-0", "batch-1"} <= threads()
        assert sockets() > before
        assert len(loaded) == 1
        with pytest.raises(RuntimeError, match="`start` must be called once before `stop`"):
            server.start()


def test_it_starts_again_after_a_stop(config):
    server = Server(config)
    assert server.stop() == 0
    for value in (3.0, 5.0):
        with server:
            assert predict(server.model_url, [value]) == [2 * value]
        assert server.stop() == 0


def note_order(monkeypatch):
    order = []

    def note(part, name, word):
        original = getattr(part, name)

        def noted(self, *arguments):
            order.append(f"{word} {part.__name__}")
            return original(self, *arguments)

        monkeypatch.setattr(part, name, noted)

    for part in PARTS:
        note(part, "__enter__", "start")
        note(part, "__exit__", "stop")
    for part in (HttpServer, GrpcServer):
        note(part, "drain", "drain")
    return order


def test_parts_stop_in_the_reverse_order_once_both_ports_take_no_more(config, monkeypatch):
    order = note_order(monkeypatch)
    Server(config).start().stop()
    names = [part.__name__ for part in PARTS]
    assert order[: len(names)] == [f"start {name}" for name in names]
    stops = order[len(names) :]
    assert stops[:2] == ["drain HttpServer", "drain GrpcServer"]
    assert [line for line in stops if "drain" not in line] == [f"stop {n}" for n in names[::-1]]


def test_a_part_that_fails_undoes_those_before_it(config, threads, monkeypatch, tmp_path):
    order = note_order(monkeypatch)
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        ports = one.getsockname()[1], other.getsockname()[1]
    options = dataclasses.replace(config.options, grpc_socket_path=tmp_path / "no" / "socket")
    server = Server(dataclasses.replace(config, port=ports[0], grpc_port=ports[1], options=options))
    with pytest.raises(OSError, match="can't be had for gRPC"):
        server.start()
    started = [line.removeprefix("start ") for line in order if line.startswith("start")]
    stopped = [line.removeprefix("stop ") for line in order if line.startswith("stop")]
    assert started == [part.__name__ for part in PARTS]
    assert stopped == started[-2::-1]  # gRPC, the last, had not started
    assert not {"http", "memory-trimmer", "version-poller", "batch-0", "batch-1"} & threads()
    for port in ports:  # which are free again
        socket.create_server(("127.0.0.1", port)).close()


def test_a_model_that_fails_undoes_what_started_before_it(base, tmp_path, threads, config):
    (tmp_path / "m" / "1").mkdir(parents=True)
    broken = dataclasses.replace(config, models=[ModelEntry("m", tmp_path / "m")])
    with pytest.raises(ValueError, match="did not become available"):
        Server(broken).start()
    assert threads() == set()


def test_a_configuration_goes_to_other_processes(config):
    assert pickle.loads(pickle.dumps(config)) == config
    assert config.rest_address == ("127.0.0.1", 0)
    hidden = dataclasses.replace(config, host="0.0.0.0", port=None)
    assert hidden.rest_address == ("127.0.0.1", 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.port = 1
    with pytest.raises(ValueError, match="`grpc_port` must be an integer from 0 to 65535"):
        dataclasses.replace(config, grpc_port=65536)


def test_the_old_name_says_the_new_one(base):
    with pytest.raises(ImportError, match="`RunningServer` is called `Server` now"):
        from keras_attn.serving import RunningServer  # noqa: F401
    with pytest.raises(AttributeError, match="has no attribute 'Serverr'"):
        serving.Serverr  # noqa: B018
    with start_server(base) as server:
        assert isinstance(server, Server)


def test_a_signal_ends_a_wait():
    with Signals(signal.SIGUSR1) as signals:
        assert signals.wait(0.01) is False
        timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGUSR1])
        timer.start()
        start = time.monotonic()
        assert signals.wait(30) is True
        assert time.monotonic() - start < 15
        assert signals.wait() is True
        timer.join()
    assert signals.received == [signal.SIGUSR1]


def test_one_of_several_at_a_socket_leaves_their_queue_as_it_is(config):
    def longest_queue(listener):  # as tcp_info has it for a socket that listens
        return struct.unpack_from("8xIIIIII", listener.getsockopt(6, socket.TCP_INFO, 32))[5]

    config = dataclasses.replace(config, grpc_port=None)
    with bind("127.0.0.1", 0) as listener, Server(config, shared=listener.dup()):
        with Server(config, shared=listener.dup()):
            before = longest_queue(listener)
        # At 0 the kernel answers with SYN cookies, and resets some of those who come.
        assert longest_queue(listener) == before == BACKLOG
