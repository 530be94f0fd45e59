"""What a signature takes and gives, without TensorFlow."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from keras_attn.serving.errors import invalid_argument

# TensorFlow's names for what JSON can carry. No 16-bit floats, no uint16: TF Serving has none.
NUMPY_DTYPES: dict[str, type] = {
    "bool": np.bool_,
    "double": np.float64,
    "float": np.float32,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "string": np.object_,
}
# NumPy's names of dtypes where TensorFlow's differ.
TENSORFLOW_NAMES = {
    "object": "string",
    "float64": "double",
    "float32": "float",
    "float16": "half",
}


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """One named tensor of a signature.

    Args:
        dtype: TensorFlow's name of it, such as `"float"` or `"string"`.
        shape: Shape with None for an open dimension; None where the rank is unknown.
        name: Name of the tensor in the graph, `"serving_default_image:0"`.
    """

    dtype: str
    shape: tuple[int | None, ...] | None
    name: str = ""


@dataclasses.dataclass(frozen=True)
class Signature:
    """The named inputs and outputs of one function of a SavedModel, in the order of their names."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    method_name: str = ""


def check_dtypes(signature: Signature, arrays: Mapping[str, np.ndarray]) -> None:
    """Raises INVALID_ARGUMENT unless each array has the dtype of its input."""
    for index, name in enumerate(sorted(arrays)):
        expected = signature.inputs[name].dtype
        received = dtype_name(arrays[name].dtype)
        if received != expected:
            raise invalid_argument(
                f"Expects arg[{index}] to be {expected} but {received} is provided"
            )


def dtype_name(dtype: np.dtype) -> str:
    """TensorFlow's name of a dtype of NumPy."""
    return TENSORFLOW_NAMES.get(dtype.name, dtype.name)
