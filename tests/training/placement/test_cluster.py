"""Who the workers are: TF_CONFIG right and wrong, and workers that come or don't."""

import json
import socket
import threading

import pytest

from benchmarks.reliability.training_process import free_ports
from keras_attn.training.placement.cluster import (
    Cluster,
    read_cluster,
    unreachable,
    wait_for_workers,
)


def config(cluster, task):
    return json.dumps({"cluster": cluster, "task": task})


@pytest.mark.parametrize(
    ("text", "workers", "index"),
    [
        ("", ("localhost:0",), 0),
        (config({"worker": ["a:1", "b:2"]}, {"type": "worker", "index": 1}), ("a:1", "b:2"), 1),
        (
            config({"chief": ["c:3"], "worker": ["a:1"]}, {"type": "worker", "index": 0}),
            ("c:3", "a:1"),
            1,
        ),
        (config({"worker": ["[::1]:7"]}, {"type": "worker", "index": 0}), ("[::1]:7",), 0),
    ],
)
def test_tf_config(monkeypatch, text, workers, index):
    monkeypatch.setenv("TF_CONFIG", text)
    assert read_cluster() == Cluster(workers, index)
    assert read_cluster().is_chief == (index == 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{worker", "must be JSON"),
        ("[]", "must have the addresses"),
        ('{"cluster": {}}', "must have the addresses"),
        (config({"worker": "a:1"}, {}), "must list the worker addresses. Received: 'a:1'"),
        (config({"worker": ["a"]}, {}), "each worker as 'host:port'. Received: 'a'"),
        (config({"worker": ["a:99999"]}, {}), "Received: 'a:99999'"),
        (config({"worker": ["a:1", "a:1"]}, {}), "each address once"),
        (config({"worker": ["a:1"]}, None), "name this process's task"),
        (
            config({"worker": ["a:1", "b:1"]}, {"type": "worker", "index": 2}),
            "'worker' with index 0 to 1",
        ),
        (config({"worker": ["a:1"]}, {"type": "chief", "index": 0}), "'worker' with index 0 to 0"),
    ],
)
def test_wrong_tf_config(monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="`TF_CONFIG`") as error:
        read_cluster()
    assert message in str(error.value)


def test_workers_that_come():
    addresses = tuple(f"localhost:{port}" for port in free_ports(3))
    errors = []

    def come(index):
        try:
            wait_for_workers(Cluster(addresses, index), timeout=20)
            # as TensorFlow's server does from then on
            with socket.create_server(("localhost", int(addresses[index].split(":")[1]))):
                all_came.wait(20)
        except Exception as error:
            errors.append(error)

    all_came = threading.Barrier(3)
    threads = [threading.Thread(target=come, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors


def test_a_worker_that_does_not_come():
    own, other = free_ports(2)
    with pytest.raises(TimeoutError, match=rf"worker 0 \(localhost:{other}\) did not come"):
        wait_for_workers(Cluster((f"localhost:{other}", f"localhost:{own}"), 1), timeout=0.3)


def test_a_worker_whose_port_closes_later_is_named():
    with socket.create_server(("localhost", 0)) as dying:
        address = f"localhost:{dying.getsockname()[1]}"
        cluster = Cluster(("localhost:1", address), 0)
        assert unreachable(cluster, patience=0) == []
        threading.Timer(0.3, dying.close).start()
        assert unreachable(cluster) == [f"worker 1 ({address})"]


def test_a_port_that_is_taken():
    with socket.create_server(("", 0)) as taken:
        address = f"localhost:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"{address}, can't be used"):
            wait_for_workers(Cluster((address, "localhost:1"), 0), timeout=0.3)
