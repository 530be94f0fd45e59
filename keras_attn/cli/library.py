"""The library, which a command imports once its arguments have been checked: it takes seconds."""

from __future__ import annotations

import sys

from keras_attn import _startup
from keras_attn.cli.stages import stage
from keras_attn.cli.stderr import without_start_up_lines


def import_library() -> None:
    """Imports all of keras_attn, which registers its layers, with Keras and its backend."""
    if "keras" in sys.modules:
        _startup.import_all()
        return
    with stage("importing Keras") as said, without_start_up_lines():
        _startup.import_all()
        said(_described())


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
