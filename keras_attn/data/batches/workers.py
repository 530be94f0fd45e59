"""Worker processes for what Python does one image at a time: joblib's, which run no user's script.

Those of `multiprocessing` either are copies of a process in which a backend's threads run, which
may hang, or run the script that was started once more.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Executor

from keras_attn._extras import need
from keras_attn._startup import WORKER

IDLE = 300  # seconds without work after which a worker ends
LOOK_AFTER = 1.0  # seconds after which a worker looks again whether its parent is there


def start_workers(count: int) -> Executor:
    """Starts worker processes when they are first given work.

    They import what reads and decodes, without Keras and its backend, in half a second.

    Args:
        count: Number of processes.

    Returns:
        An executor, whose `shutdown` ends them; so does the end of this process, however it ends.

    Raises:
        ModuleNotFoundError: If joblib is not installed.
    """
    need("joblib")
    from joblib.externals.loky import ProcessPoolExecutor

    executor: Executor = ProcessPoolExecutor(
        max_workers=count,
        timeout=IDLE,
        initializer=_end_with,
        initargs=(os.getpid(),),
        env={WORKER: "1", "OMP_NUM_THREADS": "1"},
    )
    return executor


def _end_with(parent: int) -> None:
    """Lets this process end when the one that started it is gone, killed perhaps."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_AFTER)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def usable_cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
