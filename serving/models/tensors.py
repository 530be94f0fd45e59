"""TensorProto <-> NumPy, without Python lists of numbers on the way.

Replies hold their numbers in the typed fields (`float_val` and so on), as TF Serving's do unless it
is told otherwise, because clients read those.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2

from keras_attn.serving.errors import invalid_argument

MAX_RANK = 64  # of NumPy; TensorFlow goes to 254
VALUE_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int32: "int_val",
    tf.int16: "int_val",
    tf.int8: "int_val",
    tf.uint8: "int_val",
    tf.uint16: "int_val",
    tf.uint32: "uint32_val",
    tf.int64: "int64_val",
    tf.uint64: "uint64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
    tf.half: "half_val",
    tf.bfloat16: "half_val",
    tf.complex64: "scomplex_val",
    tf.complex128: "dcomplex_val",
}
# The fields whose bytes on the wire are those of a little-endian array: they are joined, not set
# number by number. The tag is the field's number and wire type 2.
PACKED_TAGS = {tf.float32: b"\x2a", tf.float64: b"\x32", tf.bool: b"\x5a"}

# What the fields of these types hold: bits of 16-bit floats, and two parts of each complex number.
PART_DTYPES = {
    tf.half: np.uint16,
    tf.bfloat16: np.uint16,
    tf.complex64: np.float32,
    tf.complex128: np.float64,
}


def from_proto(proto: tensor_pb2.TensorProto, *, name: str, max_bytes: int) -> np.ndarray:
    """Returns the array of a TensorProto. INVALID_ARGUMENT where its parts contradict.

    What TensorFlow's own reading takes is taken, within bounds on rank and size: a mark of unknown
    rank is passed over, and so is all content of an array that is empty.

    Args:
        proto: Message with `tensor_content`, or with a typed field, whose last value stands for
            the rest and whose values past the shape's are left out.
        name: Name of the input, for the error.
        max_bytes: Most bytes that the array may have: a shape alone can ask for any size.
    """
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    dtype = next((dtype for dtype in VALUE_FIELDS if dtype.as_datatype_enum == proto.dtype), None)
    if dtype is None or min(sizes, default=0) < 0:
        raise invalid_argument(f"tensor parsing error: {name}")
    count = math.prod(sizes)
    numpy_dtype = np.dtype(dtype.as_numpy_dtype)
    size = math.prod(size for size in sizes if size)  # NumPy's bound is on this, of empty ones too
    if len(sizes) > MAX_RANK or size * numpy_dtype.itemsize > max_bytes:
        raise invalid_argument(
            f"tensor parsing error: {name}: at most {max_bytes} bytes are allowed. "
            f"Received: shape {sizes[:8]} of {dtype.name}"
        )
    values: np.ndarray | None
    if count == 0:
        values = np.empty(0, numpy_dtype)
    elif not proto.tensor_content:
        values = _from_field(proto, dtype, count)
    elif dtype == tf.string:
        values = _from_strings(proto.tensor_content, count)
    elif len(proto.tensor_content) == count * numpy_dtype.itemsize:
        values = np.frombuffer(proto.tensor_content, numpy_dtype)
    else:
        values = None
    if values is None:
        raise invalid_argument(f"tensor parsing error: {name}")
    return values.reshape(sizes)


def to_proto(array: np.ndarray, *, as_content: bool = False) -> tensor_pb2.TensorProto:
    """Returns the TensorProto of an array.

    Args:
        array: Array of a session's output.
        as_content: Whether numbers go into `tensor_content`, which is faster for integers.
    """
    dtype = tf.as_dtype(array.dtype) if array.dtype != np.object_ else tf.string
    dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in array.shape]
    proto = tensor_pb2.TensorProto(
        dtype=dtype.as_datatype_enum, tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=dims)
    )
    if dtype == tf.string:
        proto.string_val.extend(array.reshape(-1))
    elif as_content:
        proto.tensor_content = array.tobytes()
    elif dtype in PACKED_TAGS:
        data = array.tobytes()
        proto.MergeFromString(PACKED_TAGS[dtype] + _varint(len(data)) + data)
    else:
        values = array.reshape(-1)
        if dtype in PART_DTYPES:
            values = values.view(PART_DTYPES[dtype])
        getattr(proto, VALUE_FIELDS[dtype]).extend(values.tolist())
    return proto


def _from_field(proto: tensor_pb2.TensorProto, dtype: tf.DType, count: int) -> np.ndarray:
    field = getattr(proto, VALUE_FIELDS[dtype])
    numpy_dtype = np.dtype(dtype.as_numpy_dtype)
    if dtype == tf.string:
        values = np.empty(len(field), np.object_)
        values[:] = field
    elif dtype in PACKED_TAGS:
        values = _unpacked(field, dtype, numpy_dtype)
    elif dtype in PART_DTYPES:
        part = np.dtype(PART_DTYPES[dtype])
        parts = np.fromiter(field, np.int64 if part == np.uint16 else part, len(field)).astype(part)
        per_value = numpy_dtype.itemsize // part.itemsize
        values = parts[: len(parts) // per_value * per_value].view(numpy_dtype)
    else:
        wide = np.uint64 if dtype in (tf.uint32, tf.uint64) else np.int64
        values = np.fromiter(field, wide, len(field)).astype(numpy_dtype)
    if len(values) >= count:
        return values[:count]
    full = np.full(count, b"" if dtype == tf.string else 0, numpy_dtype)
    if len(values):
        full[: len(values)] = values
        full[len(values) :] = values[-1]
    return full


def _unpacked(field: Any, dtype: tf.DType, numpy_dtype: np.dtype) -> np.ndarray:
    """The numbers of a field from its bytes on the wire."""
    if not field:
        return np.empty(0, numpy_dtype)
    alone = tensor_pb2.TensorProto()
    getattr(alone, VALUE_FIELDS[dtype]).MergeFrom(field)
    data = alone.SerializeToString()
    start = len(data) - len(field) * numpy_dtype.itemsize
    return np.frombuffer(data, numpy_dtype, len(field), start)


def _from_strings(content: bytes, count: int) -> np.ndarray | None:
    """TensorFlow's bytes of a string tensor: all lengths as varints, then all strings."""
    lengths: list[int] = []
    position = 0
    for _ in range(count):
        length = shift = 0
        while True:
            if position >= len(content) or shift > 28:
                return None
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if position + sum(lengths) != len(content):
        return None
    values = np.empty(count, np.object_)
    for index, length in enumerate(lengths):
        values[index] = content[position : position + length]
        position += length
    return values


def _varint(number: int) -> bytes:
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])
