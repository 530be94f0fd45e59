"""A SavedModel as ONNX, opened and compared before it is in place."""

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_attn._extras import need
from keras_attn.export.checks.comparison import MAX_DIFFERENCE
from keras_attn.export.checks.loaders import Arrays
from keras_attn.export.conversion import Reference, check_path, compare, with_report
from keras_attn.export.exported import ExportedPath, exported
from keras_attn.export.graph.signatures import DEFAULT
from keras_attn.export.reasons import reason_of

OPSETS = (17, 18)
ERROR = " - ERROR - "  # in a line of tf2onnx's log
AXES = ("batch", "height", "width")

# tf2onnx copies the graph and all its weights before each of its passes, in case one fails: here
# they are copied once. Without GNU's limits, what a pass gives back goes to the system each time.
CONVERT = """
import copy
from tf2onnx import convert, optimizer
by_copies = optimizer.optimize_graph
def optimize_graph(graph, catch_errors=True, **options):
    spare = copy.deepcopy(graph)
    try:
        return by_copies(graph, False, **options)
    except Exception:
        return by_copies(spare, catch_errors, **options)
optimizer.optimize_graph = optimize_graph
convert.main()
"""
LIMITS = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**33)}


def export_onnx(
    saved_model: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    opset: int = 17,
    bound: float = 10 * MAX_DIFFERENCE,
) -> ExportedPath:
    """Converts `serving_default` of a SavedModel to ONNX, and runs it in ONNX Runtime.

    tf2onnx reports success over operations that it doesn't know, too. So the file is opened,
    checked and compared with the SavedModel at several batch and image sizes; only then is it moved
    into place, with `<path>.report.json` beside it. Names stay as they are in the SavedModel; the
    open axes are named batch, height and width.

    Args:
        saved_model: A version folder, as `export_saved_model` wrote it.
        path: The file, which ends in `.onnx`.
        opset: 17 or 18.
        bound: Largest difference, relative to the greatest value where that is over 1, or the
            SavedModel's own bound where that is wider. ONNX Runtime
            orders its sums otherwise than TensorFlow: the default is ten times that of SavedModels.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If there is no such SavedModel.
        ValueError: If another argument is wrong.
        RuntimeError: If it can't be converted, ONNX Runtime can't run it, or it differs.

    Example:
        >>> export_onnx("exports/digits/1", "digits.onnx")
        ExportedPath('digits.onnx')
    """
    need("onnx", "onnxruntime", "tf2onnx")
    import onnx
    import onnxruntime

    path = check_path(path, ".onnx")
    if opset not in OPSETS:
        raise ValueError(f"`opset` must be one of {OPSETS}. Received: opset={opset!r}")
    reference = Reference(saved_model)
    with with_report(path) as (written, report):
        _convert(reference.folder, written, opset)
        _name_axes(written, reference.shape)
        run = _runner(written)
        report |= {
            **reference.description(),
            "opset": opset,
            "versions": {
                "onnx": onnx.__version__,
                "onnxruntime": onnxruntime.__version__,
                "tensorflow": tf.__version__,
            },
            "checks": compare(reference, run, "The ONNX network", bound),
        }
    return exported(path, ())


def _convert(folder: pathlib.Path, path: pathlib.Path, opset: int) -> None:
    """In a process of its own, as tf2onnx changes TensorFlow's global state, and logs."""
    command = [sys.executable, "-c", CONVERT, "--saved-model", str(folder)]
    command += ["--signature_def", DEFAULT, "--opset", str(opset), "--output", str(path)]
    environment = {**LIMITS, **os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = done.stderr.strip().splitlines()
    errors = [line.partition(ERROR)[2] for line in lines if ERROR in line]
    if done.returncode or errors or not path.exists():
        ended = f"it was ended by signal {-done.returncode}" if done.returncode < 0 else None
        reason = ended or (errors or lines or ["no reason given"])[-1].strip()
        if system := re.search(r"OSError: \[Errno (\d+)\] ([^:]+)", reason):
            raise OSError(int(system[1]), system[2])
        if unsupported := re.findall(r"'(\w+)': \d+", reason.partition("Unsupported ops:")[2]):
            reason = f"ONNX has nothing for {', '.join(unsupported)}"
        raise RuntimeError(f"tf2onnx can't convert the SavedModel: {reason}")


def _name_axes(path: pathlib.Path, shape: tuple[int | None, ...]) -> None:
    """Names the open axes, which tf2onnx numbers."""
    import onnx

    network = onnx.load(str(path))
    [image] = network.graph.input
    for axis, size in enumerate(shape):
        if size is None:
            image.type.tensor_type.shape.dim[axis].dim_param = AXES[axis]
    for output in network.graph.output:
        for dim in output.type.tensor_type.shape.dim[:1]:
            dim.dim_param = AXES[0]
    try:
        onnx.checker.check_model(network, full_check=True)
    except Exception as error:  # its exceptions have no common class
        raise RuntimeError(f"ONNX's checker refuses the network: {reason_of(error)}") from error
    onnx.save(network, str(path))


def _runner(path: pathlib.Path) -> Callable[[np.ndarray], Arrays]:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common class
        raise RuntimeError(f"ONNX Runtime can't open the network: {reason_of(error)}") from error
    names = [output.name for output in session.get_outputs()]

    def run(images: np.ndarray) -> Arrays:
        return dict(zip(names, session.run(names, {"image": images}), strict=True))

    return run
