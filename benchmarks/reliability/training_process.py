"""Trainings in processes of their own, started, killed, and started again.

    python -m benchmarks.reliability.training_process die-writing EPOCH train ...
    python -m benchmarks.reliability.training_process files-of-at-most BYTES train ...

is `keras-attn train ...` that kills itself while half of an epoch's checkpoint is written, or that
finds the disk full.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

EPOCHS = 5
PLAIN = ("keras_attn.cli",)
THIS = "benchmarks.reliability.training_process"


def command(
    out: Path, *more: str, ema: float | None = 0.9, module: Sequence[str] = PLAIN
) -> list[str]:
    """The smallest training on real images."""
    average = [] if ema is None else ["--ema", str(ema)]
    return [
        sys.executable, "-m", *module, "train", "--recipe", "digits_se_resnet8",
        "--limit", "128", "--image-size", "8", "--epochs", str(EPOCHS),
        "--batch-size", "32", "--evaluate-every", "5", "--out", str(out), *average, *more,
    ]  # fmt: skip


class Training:
    """A process that trains, and its log."""

    def __init__(
        self, out: Path, *more: str, tf_config: dict[str, Any] | None = None, **options: Any
    ) -> None:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment.pop("TF_CONFIG", None)
        if tf_config:
            environment["TF_CONFIG"] = json.dumps(tf_config)
        path = f"{out}-{time.time_ns()}.log"
        self.log: IO[str] = open(path, "w+")  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            command(out, *more, **options),
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    @property
    def returncode(self) -> int | None:
        """What it ended with, or `None`."""
        return self.process.poll()

    def kill(self) -> None:
        """As a machine that is switched off."""
        self.process.send_signal(signal.SIGKILL)

    def finish(self, timeout: float = 400) -> str:
        """Waits for its end, and gives what it said.

        Raises:
            subprocess.TimeoutExpired: If it hangs; it is killed then.
        """
        try:
            self.process.wait(timeout)
        finally:
            self.process.kill()
            self.process.wait()
            self.log.seek(0)
            text = self.log.read()
            self.log.close()
        return text


def two_workers(
    out: Path, *more: str, first: Sequence[str] = PLAIN, **options: Any
) -> list[Training]:
    """One training by two processes; `first` is what the first of them runs."""
    workers = [f"localhost:{port}" for port in free_ports(2)]
    return [
        Training(
            out, "--strategy", "multi-worker", *more, module=first if index == 0 else PLAIN,
            tf_config={
                "cluster": {"worker": workers},
                "task": {"type": "worker", "index": index},
            },
            **options,
        )
        for index in range(2)
    ]  # fmt: skip


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens at."""
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def epochs_done(out: Path) -> int:
    """How many checkpoints there are."""
    return len(list((out / "unfinished").glob("epoch-*.npz")))


def newest_epoch(out: Path) -> int:
    """Of which epoch the newest checkpoint is; 0 where there is none."""
    names = sorted(path.stem for path in (out / "unfinished").glob("epoch-*.npz"))
    return int(names[-1].rpartition("-")[2]) if names else 0


def wait_until(condition: Callable[[], Any], seconds: float = 200) -> None:
    """Waits for something that comes soon.

    Raises:
        TimeoutError: If it doesn't.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it never came")
        time.sleep(0.05)


def die_writing(epoch: int) -> None:
    """Lets this process kill itself when half of that epoch's checkpoint is written."""
    from keras_attn.training.run_folder import checkpoint

    savez, written = checkpoint.np.savez, 0

    def half(file: Any, **arrays: Any) -> None:
        nonlocal written
        written += 1
        if written < epoch:
            savez(file, **arrays)
            return
        whole = io.BytesIO()
        savez(whole, **arrays)
        file.write(whole.getvalue()[: whole.tell() // 2])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.np.savez = half


def main(how: str, value: str, *arguments: str) -> int:
    """What the process does."""
    # As the command has it, for which it is too late: Keras is imported here.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    from keras_attn.cli import main as keras_attn

    if how == "die-writing":
        die_writing(int(value))
    else:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(value), hard))
    return keras_attn(arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
