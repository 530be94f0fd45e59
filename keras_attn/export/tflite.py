"""A SavedModel as TFLite, for phones and edge boxes, run and compared before it is in place."""

import os
import pathlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from keras_attn._extras import need
from keras_attn.export.checks.comparison import MAX_DIFFERENCE
from keras_attn.export.checks.loaders import Arrays
from keras_attn.export.conversion import (
    Reference,
    check_path,
    compare,
    run_or_say,
    with_report,
)
from keras_attn.export.exported import ExportedPath, exported
from keras_attn.export.graph.answers import main_output
from keras_attn.export.graph.signatures import DEFAULT
from keras_attn.export.reasons import reason_of

LEAST_IMAGES = 8
DTYPES = {"float16": "f16", "bfloat16": "bf16", "float64": "f64", "complex64": "complex<f32>"}


def export_tflite(
    saved_model: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    bound: float = 10 * MAX_DIFFERENCE,
) -> ExportedPath:
    """Converts `serving_default` of a SavedModel to TFLite with built-in operators, in float32.

    It is run at several batch and image sizes and compared with the SavedModel; only then is it
    moved into place, with `<path>.report.json` beside it. Input and outputs have the SavedModel's
    names, in the signature `serving_default`.

    Args:
        saved_model: A version folder, as `export_saved_model` wrote it.
        path: The file, which ends in `.tflite`.
        bound: Largest difference, relative to the greatest value where that is over 1.

    Returns:
        The path of the file. Its `notes` say where XNNPACK refuses it.

    Raises:
        FileNotFoundError: If there is no such SavedModel.
        ValueError: If another argument is wrong.
        RuntimeError: If it can't be converted with built-in operators alone, or differs.

    Example:
        >>> export_tflite("exports/digits/1", "digits.tflite")
        ExportedPath('digits.tflite')
    """
    need("ai_edge_litert")
    path = check_path(path, ".tflite")
    reference = Reference(saved_model)
    with with_report(path) as (written, report):
        written.write_bytes(_converted(_converter(reference)))
        run, refused = _runner(written, reference.images()[0])
        report |= {
            **reference.description(),
            "tensorflow": tf.__version__,
            "refused_by_xnnpack": refused,
            "checks": compare(reference, run, "The TFLite network", bound),
        }
    return exported(path, _notes(refused))


def export_tflite_int8(
    saved_model: str | os.PathLike[str],
    path: str | os.PathLike[str],
    images: np.ndarray,
    *,
    least_agreement: float = 0.95,
) -> ExportedPath:
    """Converts `serving_default` of a SavedModel to TFLite with int8 weights and activations.

    The ranges of the activations are those on half of `images`; on the other half, the share of
    images on which it and the SavedModel name the same class must be at least `least_agreement`.
    Input and outputs stay float32. `<path>.report.json` has what was measured,
    and whether XNNPACK, the interpreter's default on CPUs, runs it or only the built-in kernels do.

    Args:
        saved_model: A version folder, as `export_saved_model` wrote it.
        path: The file, which ends in `.tflite`.
        images: Float32 `(N, H, W, C)`, as `serving_default` takes them; some hundred real ones, of
            all classes. At least 8.
        least_agreement: Above 0 and at most 1.

    Returns:
        The path of the file. Its `notes` say where XNNPACK refuses it.

    Raises:
        FileNotFoundError: If there is no such SavedModel.
        ValueError: If another argument is wrong.
        RuntimeError: If it can't be converted with built-in int8 operators alone, or the
            agreement is below its bound.

    Example:
        >>> export_tflite_int8("exports/digits/1", "digits-int8.tflite", images)
        ExportedPath('digits-int8.tflite')
    """
    need("ai_edge_litert")
    path = check_path(path, ".tflite")
    reference = Reference(saved_model)
    images = np.asarray(images)
    wrong = images.ndim != 4 or any(
        size not in (None, given) for size, given in zip(reference.shape, images.shape, strict=True)
    )
    if wrong or images.dtype != np.float32 or len(images) < LEAST_IMAGES:
        raise ValueError(
            f"`images` must be at least {LEAST_IMAGES} float32 images of shape "
            f"{reference.shape[1:]}. Received: {images.dtype} of shape {images.shape}"
        )
    if not 0 < least_agreement <= 1:
        raise ValueError(
            "`least_agreement` must be above 0 and at most 1. "
            f"Received: least_agreement={least_agreement}"
        )
    calibration, held_out = images[::2], images[1::2]
    converter = _converter(reference)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: (
        (DEFAULT, {"image": image[None]}) for image in calibration
    )
    with with_report(path) as (written, report):
        written.write_bytes(_converted(converter))
        run, refused = _runner(written, held_out[:1])
        answers = reference(*(x[None] for x in held_out))
        expected = np.concatenate([main_output(answer) for answer in answers])
        answers = [run_or_say("The int8 network", run, x[None]) for x in held_out]
        actual = np.concatenate([main_output(answer) for answer in answers])
        agreement = float(np.mean(expected.argmax(-1) == actual.argmax(-1)))
        if not agreement >= least_agreement:
            raise RuntimeError(
                "The int8 network must name the same class as the SavedModel on a share of "
                f"{least_agreement} of the images that it wasn't calibrated on. Received: "
                f"{agreement:.3f} of {len(held_out)}"
            )
        report |= {
            **reference.description(),
            "tensorflow": tf.__version__,
            "refused_by_xnnpack": refused,
            "calibrated_on": len(calibration),
            "compared_on": len(held_out),
            "top1_agreement": agreement,
            "least_agreement": least_agreement,
            "max_difference": float(np.max(np.abs(actual - expected))),
        }
    return exported(path, _notes(refused))


def _notes(refused: str | None) -> list[str]:
    if refused is None:
        return []
    return [
        "XNNPACK, the interpreter's default on CPUs, refuses it, and an interpreter needs "
        f"BUILTIN_WITHOUT_DEFAULT_DELEGATES to run it, more slowly: {refused}"
    ]


def _converter(reference: Reference) -> tf.lite.TFLiteConverter:
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(reference.folder), signature_keys=[DEFAULT]
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _converted(converter: tf.lite.TFLiteConverter) -> bytes:
    try:
        with (
            warnings.catch_warnings(),
            _native_stderr_dropped(),
        ):  # of the age of the interpreter that it calibrates with
            warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")
            content: bytes = converter.convert()
            return content
    except Exception as error:  # its exceptions have no common class
        raise RuntimeError(
            f"TFLite can't run the network with built-in operators alone: {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    """What the converter lacks, out of many lines of its own language."""
    lacking: dict[str, set[str]] = {}
    for kind, names in re.findall(r"^(TF Select|Custom) ops: (.+)$", str(error), re.MULTILINE):
        lacking.setdefault(kind, set()).update(name.strip() for name in names.split(","))
    if not lacking:
        # An error's line begins with where it is: loc(...): error: what
        found = re.findall(r"^(?:.*: )?error: (.+)$", str(error), re.MULTILINE)
        return found[0] if found else reason_of(error)
    operators = ", ".join(sorted(set().union(*lacking.values())))
    dtypes = sorted(name for name, kind in DTYPES.items() if f"x{kind}>" in str(error))
    return f"it has none for {operators}" + (f", on {', '.join(dtypes)}" if dtypes else "")


@contextmanager
def _native_stderr_dropped() -> Iterator[None]:
    """The converter's C++ writes a line for each operator that it can't convert, past Python."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _runner(
    path: pathlib.Path, first: np.ndarray
) -> tuple[Callable[[np.ndarray], Arrays], str | None]:
    """Runs the network, and says why it does so without XNNPACK where that refuses the first one.

    XNNPACK is the interpreter's default on CPUs.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    run = Interpreter(model_path=str(path)).get_signature_runner(DEFAULT)
    try:
        run(image=first)
        refused = None
    except RuntimeError as error:
        refused = reason_of(error)
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(model_path=str(path), experimental_op_resolver_type=plain)
        run = interpreter.get_signature_runner(DEFAULT)
    return lambda images: run(image=images), refused
