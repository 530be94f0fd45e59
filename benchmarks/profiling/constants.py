"""What `export_saved_model(constants=True)` gains, by each loader.

    python -m benchmarks.profiling.constants [--models se_resnet50] [--batches 1 8] [--rounds 15]
        [--exports FOLDER] [--out constants.csv]

Each network is exported twice, with its weights as variables and as constants, and both SavedModels
are run in one process, by turns: by a session, as our server does; by the loader of TensorFlow's C
library, as programs in C and C++ do; and as `tf.saved_model.load` calls them. Beside them ONNX
Runtime and, where it is installed, OpenVINO run the same network's ONNX file. Wall time and the
processor's time of a call, medians, and the medians of the ratios of each round: below 1 constants
are faster, or a SavedModel is faster than that runtime. `session_mib` is how much the process grew,
at the most, by loading each into a session and its first call. TF_ENABLE_ONEDNN_OPTS=0 and 1 choose
TensorFlow's kernels.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.measuring import median_ratio, peak_mib, save
from keras_attn.applications import get_model
from keras_attn.export import export_onnx, export_saved_model
from keras_attn.export.checks.cpp_loader import Session
from keras_attn.export.checks.loaders import signature_definitions
from keras_attn.serving.models.session import ModelSession

FORMS = {"variables": False, "constants": True}
LIBRARY = str(Path(tf.__file__).with_name("libtensorflow_cc.so.2"))
ONEDNN = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "as it is")  # TensorFlow's kernels, see onednn.py


def exports(name: str, folder: Path) -> dict[str, Path]:
    """The two SavedModels of a network with random weights; those that are there are kept.

    The biases that folding makes are random, too: TensorFlow leaves a constant of zeros out, and
    then no longer fuses the ReLU behind it into the convolution.
    """
    paths = {form: folder / f"{name}_{form}" / "1" for form in FORMS}
    missing = [form for form, path in paths.items() if not path.exists()]
    if missing:
        keras.utils.set_random_seed(0)
        model = get_model(name)()
        rng = np.random.default_rng(0)
        for weight in model.weights:
            if weight.name == "beta":
                weight.assign(rng.normal(0, 0.1, weight.shape))
        for form in missing:
            export_saved_model(model, paths[form].parent, version=1, constants=FORMS[form])
    return paths


def runs_of(paths: dict[str, Path], images: np.ndarray) -> tuple[dict[Any, Callable], dict]:
    """A call by each loader, and MiB of loading into a session; all give the same numbers."""
    runs: dict[Any, Callable[[], Any]] = {}
    mib = {}
    for form, path in paths.items():

        def load(form: str = form, path: Path = path) -> None:
            session = ModelSession(path)
            signature = session.signatures["serving_default"]
            feeds = {signature.inputs["image"].name: images}
            fetches = [output.name for output in signature.outputs.values()]
            runs["session", form] = partial(session.run, feeds, fetches)
            runs["session", form]()

        mib[form] = peak_mib(load)[0]
    tensor = tf.constant(images)
    for form, path in paths.items():
        signature = signature_definitions(path)["serving_default"]
        first, *_ = signature.outputs
        feeds = {signature.inputs["image"].name: images}
        fetches = [output.name for output in signature.outputs.values()]
        in_c = partial(Session(LIBRARY, str(path)).run, feeds, fetches)
        runs["C library", form] = in_c
        loaded = tf.saved_model.load(str(path))
        call = loaded.signatures["serving_default"]
        runs["tf.saved_model.load", form] = partial(
            lambda call, loaded: call(image=tensor), call, loaded
        )
        expected = call(image=tensor)[first].numpy()
        bound = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(in_c()[0], expected, rtol=0, atol=bound, err_msg=form)
    runs |= other_runtimes(paths["variables"], images)
    return runs, mib


def other_runtimes(path: Path, images: np.ndarray) -> dict[Any, Callable[[], Any]]:
    """A call by ONNX Runtime and, where it is installed, by OpenVINO, of a SavedModel's network."""
    import onnxruntime

    file = path.parent.with_suffix(".onnx")
    if not file.exists():
        export_onnx(path, file)
    cores = os.cpu_count() or 1
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    runs: dict[Any, Callable[[], Any]] = {
        ("ONNX Runtime", ""): partial(session.run, None, {session.get_inputs()[0].name: images})
    }
    if importlib.util.find_spec("openvino"):
        import openvino

        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": cores,
            "INFERENCE_PRECISION_HINT": "f32",  # as the others; it would take bfloat16 where it can
        }
        request = openvino.Core().compile_model(str(file), "CPU", settings).create_infer_request()
        runs["OpenVINO", ""] = partial(request.infer, [images])
    return runs


def measure(
    name: str, batch: int, rounds: int, folder: Path, *, is_first: bool
) -> list[dict[str, Any]]:
    """The rows of a network and a batch; only of a process's first is it known what it grew by."""
    paths = exports(name, folder)
    images = np.random.default_rng(0).random((batch, *shape_of(paths)), np.float32)
    runs, mib = runs_of(paths, images)
    wall: dict[Any, list[float]] = {key: [] for key in runs}
    cpu: dict[Any, list[float]] = {key: [] for key in runs}
    for turn in range(rounds + 2):
        for key, run in runs.items():
            time.sleep(0.01)  # until another runtime's threads no longer wait by spinning
            start, used = time.perf_counter(), time.process_time()
            run()
            if turn > 1:
                wall[key].append(1e3 * (time.perf_counter() - start))
                cpu[key].append(1e3 * (time.process_time() - used))
    rows = []
    others = [key for key in runs if not key[1]]
    for loader in dict.fromkeys(loader for loader, form in runs if form):
        row: dict[str, Any] = {"model": name, "batch": batch, "onednn": ONEDNN, "loader": loader}
        for what, times in (("wall", wall), ("cpu", cpu)):
            for form in FORMS:
                row[f"{form}_{what}_ms"] = round(statistics.median(times[loader, form]), 1)
            pair = (times[loader, "constants"], times[loader, "variables"])
            row[f"{what}_ratio"] = median_ratio(*pair)
        for other, form in itertools.product(others, FORMS):
            row[f"{form} / {other[0]}"] = median_ratio(wall[loader, form], wall[other])
        if loader == "session" and is_first:
            row |= {f"{form}_session_mib": round(mib[form]) for form in FORMS}
        rows.append(row)
        print(*row.values(), flush=True)
    for other in others:
        row = {"model": name, "batch": batch, "onednn": ONEDNN, "loader": other[0]}
        row["variables_wall_ms"] = round(statistics.median(wall[other]), 1)
        row["variables_cpu_ms"] = round(statistics.median(cpu[other]), 1)
        rows.append(row)
        print(*row.values(), flush=True)
    return rows


def shape_of(paths: dict[str, Path]) -> tuple[int, ...]:
    """(H, W, C) of the images that the networks take."""
    definition = signature_definitions(paths["variables"])["serving_default"]
    return tuple(dim.size for dim in definition.inputs["image"].tensor_shape.dim[1:])


def main() -> None:
    """Prints the table, and writes it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["se_resnet50"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--exports", type=Path, help="where the SavedModels are, or are put")
    parser.add_argument("--out", help="the CSV")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows: list[dict[str, Any]] = []
        for name, batch in itertools.product(arguments.models, arguments.batches):
            where = arguments.exports or Path(folder)
            rows += measure(name, batch, arguments.rounds, where, is_first=not rows)
    if arguments.out:
        save(arguments.out, rows, "keras", "tensorflow")


if __name__ == "__main__":
    main()
