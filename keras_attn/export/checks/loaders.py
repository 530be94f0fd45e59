"""Three ways to run a written SavedModel: TensorFlow 2's, the session's, and TF Serving's own."""

import base64
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn._staging import staging
from keras_attn.export.checks import cpp_loader

Arrays = dict[str, np.ndarray]
# A signature, and what is fed to it.
Run = tuple[str, Arrays]

TF2 = "tf.saved_model.load"
SESSION = "session"
CPP = "C++ loader, XLA off"


class LoaderMissingError(Exception):
    """This installation of TensorFlow hasn't got the loader."""


def run_tf2(folder: str | os.PathLike[str], runs: Sequence[Run]) -> list[Arrays]:
    """Runs through `tf.saved_model.load`."""
    signatures = tf.saved_model.load(os.fspath(folder)).signatures
    return [
        {
            name: value.numpy()
            for name, value in signatures[signature](
                **{name: tf.constant(array) for name, array in feeds.items()}
            ).items()
        }
        for signature, feeds in runs
    ]


def run_session(folder: str | os.PathLike[str], runs: Sequence[Run]) -> list[Arrays]:
    """Runs through the loader of `tf.compat.v1` and a session."""
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        with _quiet():  # about the loader's age, which is why it is tried
            meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], os.fspath(folder))
        results = []
        for signature, feeds in runs:
            definition = meta_graph.signature_def[signature]
            named = {definition.inputs[name].name: array for name, array in feeds.items()}
            fetches = {name: info.name for name, info in definition.outputs.items()}
            results.append(session.run(fetches, named))
        return results


def run_cpp(folder: str | os.PathLike[str], runs: Sequence[Run]) -> list[Arrays]:
    """Runs through the C++ loader that TF Serving calls, in a process of its own, XLA off.

    Raises:
        LoaderMissingError: If TensorFlow's C++ library isn't where its wheels for Linux have it.
        RuntimeError: If it can't load the SavedModel, or run it.
    """
    library = pathlib.Path(tf.__file__).parent / "libtensorflow_cc.so.2"
    if not library.exists():
        raise LoaderMissingError(f"TensorFlow's C++ library is not at {library}")
    definitions = signature_definitions(folder)
    with staging(pathlib.Path(tempfile.gettempdir(), "plan")) as plan:
        steps = []
        for i, (signature, feeds) in enumerate(runs):
            definition = definitions[signature]
            files = {
                definition.inputs[name].name: _write(plan / f"feed-{i}-{name}", array)
                for name, array in feeds.items()
            }
            fetches = {name: info.name for name, info in definition.outputs.items()}
            steps.append({"feeds": files, "fetches": fetches})
        (plan / "plan.json").write_text(json.dumps(steps), encoding="utf-8")
        command = [sys.executable, cpp_loader.__file__, str(library), os.fspath(folder), str(plan)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise RuntimeError(f"TF Serving's C++ loader can't run the SavedModel: {reason}")
        return [
            {name: _read(plan / f"{i}-{name}") for name in step["fetches"]}
            for i, step in enumerate(steps)
        ]


LOADERS = {TF2: run_tf2, SESSION: run_session, CPP: run_cpp}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(before)


def signature_definitions(folder: str | os.PathLike[str]) -> Any:
    """Name -> SignatureDef, as the SavedModel has them."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString(pathlib.Path(folder, "saved_model.pb").read_bytes())
    return saved_model.meta_graphs[0].signature_def


def _write(path: pathlib.Path, array: np.ndarray) -> str:
    if array.dtype != object:
        np.save(f"{path}.npy", array)
        return f"{path.name}.npy"
    texts = [base64.b64encode(text).decode() for text in array]
    pathlib.Path(f"{path}.json").write_text(json.dumps(texts), encoding="utf-8")
    return f"{path.name}.json"


def _read(path: pathlib.Path) -> np.ndarray:
    numbers = pathlib.Path(f"{path}.npy")
    if numbers.exists():
        array: np.ndarray = np.load(numbers)
        return array
    texts = json.loads(pathlib.Path(f"{path}.json").read_text(encoding="utf-8"))
    values = [base64.b64decode(text) for text in texts["values"]]
    return np.array(values, object).reshape(texts["shape"])
