"""TensorProto <-> arrays, against TensorFlow's own, and what contradicts itself."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from helpers.serving_models import TYPES
from keras_attn.serving.errors import ServingError
from keras_attn.serving.models.tensors import from_proto, to_proto


def array_of(dtype):
    if dtype == tf.string:
        return np.array([[b"a", b"\0\xff" * 100, b""], [b"d", b"e", b"f"]], object)
    return tf.cast(np.linspace(0, 200, 6).reshape(2, 3), dtype).numpy()


@pytest.mark.parametrize("dtype", TYPES, ids=lambda dtype: dtype.name)
def test_as_tensorflow(dtype):
    array = array_of(dtype)
    for proto in (
        tf.make_tensor_proto(array),
        to_proto(array),
        to_proto(array, as_content=dtype != tf.string),
    ):
        found = from_proto(proto, name="x", max_bytes=1000)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
        np.testing.assert_array_equal(tf.make_ndarray(proto), array)
    assert to_proto(array).tensor_content == b""
    empty = from_proto(to_proto(array[:0]), name="x", max_bytes=1000)
    assert (empty.shape, empty.dtype) == ((0, 3), array.dtype)


@pytest.mark.parametrize("dtype", TYPES, ids=lambda dtype: dtype.name)
def test_the_last_value_stands_for_the_rest(dtype):
    proto = to_proto(array_of(dtype)[0, :2])
    proto.tensor_shape.dim[0].size = 5
    expected = array_of(dtype)[0, [0, 1, 1, 1, 1]]
    np.testing.assert_array_equal(from_proto(proto, name="x", max_bytes=1000), expected)


def test_strings_in_the_content():
    proto = tensor_pb2.TensorProto(dtype=tf.string.as_datatype_enum)
    proto.tensor_shape.dim.add(size=3)
    proto.tensor_content = b"\x01\x00\xc8\x01" + b"a" + b"b" * 200
    found = from_proto(proto, name="x", max_bytes=1000)
    assert found.tolist() == [b"a", b"", b"b" * 200]
    for wrong in (b"\x01", b"\x01\x00\x05a", b"\xff" * 9, b"\x01\x00\x00"):
        proto.tensor_content = wrong
        with pytest.raises(ServingError, match="tensor parsing error: x"):
            from_proto(proto, name="x", max_bytes=1000)


def proto_of(dtype=tf.float32, sizes=(2,), **fields):
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, **fields)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    "proto",
    [
        tensor_pb2.TensorProto(),
        proto_of(tf.resource),
        proto_of(sizes=(-1,)),
        proto_of(sizes=(2, -(2**63))),
        proto_of(tensor_content=b"1234567"),
        proto_of(sizes=(10**6, 10**6), float_val=[1]),
        proto_of(sizes=(2**62, 2**62, 0)),
        proto_of(sizes=(1,) * 300, float_val=[1]),
    ],
    ids=range(8),
)
def test_contradictions(proto):
    with pytest.raises(ServingError, match="tensor parsing error: x"):
        from_proto(proto, name="x", max_bytes=1000)


FIELDS = {
    "float_val": [1.5, 2.5, 3.5],
    "int_val": [1, -2, 70_000],
    "half_val": [15360, 70_000, 16896],
    "scomplex_val": [1.0, 2.0, 3.0],
    "dcomplex_val": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    "double_val": [1.5, 2.5, 3.5],
    "bool_val": [True, False, True],
    "string_val": [b"a", b"", b"ccc"],
    "int64_val": [-1, 2**40, 3],
    "uint32_val": [1, 2, 2**32 - 1],
    "uint64_val": [1, 2, 2**64 - 1],
}


@pytest.mark.parametrize("dtype", TYPES, ids=lambda dtype: dtype.name)
def test_values_that_are_not_as_many_as_the_shape_takes(dtype):
    """More, fewer, one, none, of another type; against the operation that reads such a message."""
    for sizes in ((), (0,), (1,), (2,), (2, 0), (2, 2), (7,)):
        for number in range(4):
            proto = proto_of(dtype, sizes)
            for name, values in FIELDS.items():
                getattr(proto, name).extend(values[:number] if number < 3 else values)
            for proto.tensor_shape.unknown_rank in (False, True):
                expected = tf.io.parse_tensor(proto.SerializeToString(), dtype).numpy()
                found = from_proto(proto, name="x", max_bytes=1000)
                assert found.dtype == dtype.as_numpy_dtype
                np.testing.assert_array_equal(found, expected)
    proto = proto_of(dtype, (0, 3), tensor_content=b"12345")  # of what is empty, all is passed over
    assert from_proto(proto, name="x", max_bytes=1000).shape == (0, 3)
    assert tf.io.parse_tensor(proto.SerializeToString(), dtype).shape == (0, 3)
