"""The processes of a training on several machines: who they are, and whether they come."""

import dataclasses
import json
import os
import socket
import time
from collections.abc import Sequence

WORKER_TYPES = ("chief", "worker")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What TF_CONFIG says of the processes that train together.

    Attributes:
        workers: Addresses, `"host:port"`, of the processes that train: the chief, if there is
            one of that name, before the workers.
        index: Number of this process among them; the first writes.
    """

    workers: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files."""
        return self.index == 0


def read_cluster() -> Cluster:
    """Reads the environment variable TF_CONFIG.

    Its form is TensorFlow's: `{"cluster": {"worker": ["host:port", ...]}, "task": {"type":
    "worker", "index": 0}}`, the same cluster and another task in each process. Without the
    variable this process is the only one.

    Returns:
        The `Cluster`.

    Raises:
        ValueError: If TF_CONFIG is not of that form.

    Example:
        >>> os.environ["TF_CONFIG"] = json.dumps({
        ...     "cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]},
        ...     "task": {"type": "worker", "index": 1},
        ... })
        >>> read_cluster().is_chief
        False
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        return Cluster(workers=("localhost:0",), index=0)
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(f"`TF_CONFIG` must be JSON: {error}. Received: {text!r}") from error
    cluster = config.get("cluster") if isinstance(config, dict) else None
    if not isinstance(cluster, dict) or not any(cluster.get(kind) for kind in WORKER_TYPES):
        raise ValueError(
            '`TF_CONFIG` must have the addresses of the workers: {"cluster": {"worker": '
            f'["host:port", ...]}}, "task": ...}}. Received: {text!r}'
        )
    addresses: list[str] = []
    first_of = {}
    for kind in WORKER_TYPES:
        first_of[kind] = len(addresses)
        addresses += _addresses(kind, cluster.get(kind, []))
    repeated = sorted({address for address in addresses if addresses.count(address) > 1})
    if repeated:
        raise ValueError(f"`TF_CONFIG` must have each address once. Received twice: {repeated}")
    task = config.get("task")
    role, index = (task.get("type"), task.get("index")) if isinstance(task, dict) else (None, None)
    known = {kind: len(cluster.get(kind, [])) for kind in WORKER_TYPES if cluster.get(kind)}
    if role not in known or not isinstance(index, int) or not 0 <= index < known[role]:
        options = ", ".join(
            f"{kind!r} with index 0 to {count - 1}" for kind, count in known.items()
        )
        raise ValueError(
            f"`TF_CONFIG` must name this process's task, one of {options}. Received: task={task!r}"
        )
    return Cluster(workers=tuple(addresses), index=first_of[role] + index)


def _addresses(kind: str, addresses: object) -> Sequence[str]:
    if not isinstance(addresses, list):
        raise ValueError(f"`TF_CONFIG` must list the {kind} addresses. Received: {addresses!r}")
    for address in addresses:
        host, _, port = str(address).rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 2**16:
            raise ValueError(
                f"`TF_CONFIG` must give each {kind} as 'host:port'. Received: {address!r}"
            )
    return addresses


def wait_for_workers(cluster: Cluster, timeout: float = 300.0) -> None:
    """Waits until every process of the cluster is there.

    TensorFlow itself waits for an hour and doesn't say for whom. This process listens at its own
    address meanwhile, for the others to see it.

    Args:
        cluster: Processes that train together.
        timeout: Number of seconds to wait.

    Raises:
        TimeoutError: If some don't come; it names them.
        OSError: If this process's own port is taken.
    """
    missing = {i: address for i, address in enumerate(cluster.workers) if i != cluster.index}
    if not missing:
        return
    own = cluster.workers[cluster.index]
    deadline = time.monotonic() + timeout
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", int(own.rpartition(":")[2])))
        except OSError as error:
            raise OSError(
                f"The port of this process's own address in `TF_CONFIG`, {own}, can't be used: "
                f"{error.strerror}"
            ) from error
        listener.listen(len(cluster.workers))
        while missing:
            missing = {i: address for i, address in missing.items() if not answers(address)}
            if missing and time.monotonic() > deadline:
                names = ", ".join(f"worker {i} ({address})" for i, address in missing.items())
                raise TimeoutError(
                    f"{names} did not come within {timeout:g} s. Each process of `TF_CONFIG` must "
                    "be started, and be reached at its address."
                )
            if missing:
                time.sleep(0.2)


def unreachable(cluster: Cluster, patience: float = 5.0) -> list[str]:
    """Names the other processes that are not to be reached at their addresses.

    Args:
        cluster: Processes that train together.
        patience: Number of seconds to look. One that was killed resets its connections before
            its port is closed.
    """
    deadline = time.monotonic() + patience
    while True:
        missing = [
            f"worker {i} ({address})"
            for i, address in enumerate(cluster.workers)
            if i != cluster.index and not answers(address)
        ]
        if missing or time.monotonic() > deadline:
            return missing
        time.sleep(0.2)


def answers(address: str) -> bool:
    """Whether a process listens at the address `"host:port"`."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except OSError:
        return False
    return True
