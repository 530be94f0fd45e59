"""The library, which a command imports once its arguments have been checked: it takes seconds.

What TensorFlow writes on stderr as it starts is no news, whatever its log level, and is left out.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys

from keras_attn import _startup
from keras_attn.cli.stages import stage

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# Lines of absl's log below an error, LiteRT's greeting, and what TensorFlow calls an error where
# there is no GPU, or no AVX-512.
_START_UP = re.compile(
    rb"[IW]\d{4} [\d:.]+ +\d+ [\w.]+:\d+\] "
    rb"|WARNING: All log messages before absl::InitializeLog\(\) is called"
    rb"|To enable the following instructions: "
    rb"|E\d{4} .* (failed call to cuInit|Unable to register cu\w+ factory|oneDNN supports DT_)"
    rb"|INFO: (Created TensorFlow Lite|Initialized TensorFlow Lite)"
)


def import_library() -> None:
    """Imports all of keras_attn, which registers its layers, with Keras and its backend."""
    if "keras" in sys.modules:
        _startup.import_all()
        return
    leave_out_start_up_lines()
    with stage("importing Keras") as said:
        _startup.import_all()
        said(_described())


def import_to_train() -> None:
    """Imports the library for a training: with TensorFlow's oneDNN kernels, unless told otherwise.

    TensorFlow leaves them off on processors without AVX-512 VNNI, where a step takes half the time
    with them, and a forward pass of one image far more (`benchmarks/profiling/onednn.py`).
    """
    if "keras" not in sys.modules:  # else it is too late
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    import_library()


def _described() -> str:
    """What runs here, and on what; for TensorFlow, looking for devices is a part of its start."""
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        return f"imported Keras {keras.__version__} on {backend}"
    import tensorflow as tf

    devices = [device.name for device in tf.config.list_physical_devices("GPU")]
    where = f"{len(devices)} GPU{'s' if len(devices) > 1 else ''}" if devices else "the CPU"
    return f"imported Keras {keras.__version__} and TensorFlow {tf.__version__}, on {where}"


def leave_out_start_up_lines() -> None:
    """Keeps those lines and TensorFlow's warnings from stderr, also of processes started here.

    Some are written before a log level counts. From here on the file descriptor 2 leads to a
    process beside this one, which passes on what else is written, so that nothing is lost where
    this one ends at once. Python's own `sys.stderr` stays what it was. TF_CPP_MIN_LOG_LEVEL=0 asks
    for all of it.
    """
    if os.environ.setdefault(LEVEL, "2") == "0" or not hasattr(os, "fork"):
        return
    for logger in ("tensorflow", "absl"):  # whose warnings are about our code, not the user's
        logging.getLogger(logger).setLevel(logging.ERROR)
    sys.stderr.flush()
    stderr = os.dup(2)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(writing)
        _pass_on(reading, stderr)
    os.close(reading)
    os.dup2(writing, 2)
    os.close(writing)
    sys.stderr = open(stderr, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115


def _pass_on(reading: int, stderr: int) -> None:
    """Copies the other lines until nobody writes any more; ends this process."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what Ctrl-C leaves to say is still to come
        os.dup2(reading, 0)  # whoever reads stdout doesn't wait for this process
        os.dup2(stderr, 1)
        with open(reading, "rb") as lines, open(stderr, "wb", buffering=0) as out:
            for line in lines:
                if not _START_UP.match(line):
                    out.write(line)
    finally:
        os._exit(0)
