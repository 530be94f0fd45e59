#!/usr/bin/env python3
"""Asks a model server that speaks TF Serving's gRPC, without TensorFlow.

    python grpc_client.py --server 127.0.0.1:8500 --model digits cat.jpg

grpcio, protobuf and numpy are enough: the messages of TF Serving's `Predict` are made here from the
numbers of their fields. The package of its stubs imports the whole of TensorFlow.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

METHOD = "/tensorflow.serving.PredictionService/Predict"
SCALARS = {
    "string", "bytes", "bool", "int32", "int64", "uint32", "uint64", "float", "double",
}  # fmt: skip
# DataType of TensorFlow -> NumPy, and the field of TensorProto that holds such values.
DTYPES: dict[int, tuple[np.dtype, str]] = {
    1: (np.dtype("float32"), "float_val"),
    2: (np.dtype("float64"), "double_val"),
    3: (np.dtype("int32"), "int_val"),
    4: (np.dtype("uint8"), "int_val"),
    5: (np.dtype("int16"), "int_val"),
    6: (np.dtype("int8"), "int_val"),
    9: (np.dtype("int64"), "int64_val"),
    10: (np.dtype("bool"), "bool_val"),
    22: (np.dtype("uint32"), "uint32_val"),
    23: (np.dtype("uint64"), "uint64_val"),
}
NUMBERS = {dtype: number for number, (dtype, _) in DTYPES.items()}
STRING = 7


class Client:
    """A connection to a model server.

    Args:
        server: `host:port` of its gRPC.
        root_certificates: PEM, for TLS; plain text without it.
        max_message_bytes: Largest size of a request or a reply, in bytes.

    Example:
    ```python
    with Client("127.0.0.1:8500") as client:
        outputs = client.predict("digits", {"image": images})
        print(outputs["probabilities"].argmax(-1))
    ```
    """

    def __init__(
        self,
        server: str,
        *,
        root_certificates: bytes | None = None,
        max_message_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        options = [
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.max_receive_message_length", max_message_bytes),
        ]
        if root_certificates is None:
            self._channel = grpc.insecure_channel(server, options=options)
        else:
            credentials = grpc.ssl_channel_credentials(root_certificates)
            self._channel = grpc.secure_channel(server, credentials, options=options)
        self._predict = self._channel.unary_unary(
            METHOD,
            request_serializer=PredictRequest.SerializeToString,
            response_deserializer=PredictResponse.FromString,
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def predict(
        self,
        model: str,
        inputs: Mapping[str, np.ndarray | Sequence[bytes]],
        *,
        signature_name: str = "serving_default",
        version: int | None = None,
        version_label: str | None = None,
        timeout: float = 60.0,
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            model: Name of the model.
            inputs: Name -> array, or a list of byte strings.
            signature_name: Name of the model's signature.
            version: Default: the newest that is served.
            version_label: Such as `"canary"`; instead of `version`.
            timeout: Seconds to wait for the answer.

        Returns:
            Name -> array; strings are an array of `bytes` objects.

        Raises:
            grpc.RpcError: If the server refuses, or can't be reached.
        """
        request = PredictRequest()
        request.model_spec.name = model
        request.model_spec.signature_name = signature_name
        if version is not None:
            request.model_spec.version.CopyFrom(wrappers_pb2.Int64Value(value=version))
        if version_label is not None:
            request.model_spec.version_label = version_label
        for name, value in inputs.items():
            _fill(request.inputs[name], value)
        reply = self._predict(request, timeout=timeout)
        return {name: _read(tensor) for name, tensor in reply.outputs.items()}


def _fill(tensor: Any, value: np.ndarray | Sequence[bytes]) -> None:
    if not isinstance(value, np.ndarray):
        tensor.dtype = STRING
        tensor.tensor_shape.dim.add(size=len(value))
        tensor.string_val.extend(value)
        return
    if value.dtype not in NUMBERS:
        raise ValueError(
            f"`inputs` must hold arrays of numbers or lists of bytes. Received: {value.dtype}"
        )
    tensor.dtype = NUMBERS[value.dtype]
    for size in value.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = np.ascontiguousarray(value).tobytes()


def _read(tensor: Any) -> np.ndarray:
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype == STRING:
        return np.array(list(tensor.string_val), object).reshape(shape)
    dtype, field = DTYPES[tensor.dtype]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    values = np.array(getattr(tensor, field), dtype)
    # One value stands for all that follow.
    return np.broadcast_to(values, shape) if values.size == 1 else values.reshape(shape)


def make_messages(
    package: str, messages: Mapping[str, Sequence[tuple[str, int, str]]]
) -> dict[str, Any]:
    """Returns the class of each message, in a pool of descriptors of their own.

    Args:
        package: Package of the messages.
        messages: Message -> its fields: name, number and type, as a `.proto` has them: a scalar, a
            message of these, or `.package.Message` of another file; `repeated T`; or `map T`, whose
            keys are strings.
    """
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto",
        package=package,
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )

    def add(message: Any, name: str, number: int, kind: str) -> None:
        word, _, rest = kind.rpartition(" ")
        made = message.field.add(name=name, number=number, label=field.LABEL_OPTIONAL)
        if word:
            made.label = field.LABEL_REPEATED
        if word == "map":
            entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
            entry.options.map_entry = True
            add(entry, "key", 1, "string")
            add(entry, "value", 2, rest)
            rest = f"{message.name}.{entry.name}"
        if rest in SCALARS:
            made.type = field.Type.Value(f"TYPE_{rest.upper()}")
        else:
            made.type = field.TYPE_MESSAGE
            made.type_name = rest if rest.startswith(".") else f".{package}.{rest}"

    for message_name, fields in messages.items():
        message = file.message_type.add(name=message_name)
        for name, number, kind in fields:
            add(message, name, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }


_CLASSES = make_messages(
    "keras_attn.grpc_client",
    {
        "Dim": [("size", 1, "int64"), ("name", 2, "string")],
        "Shape": [("dim", 2, "repeated Dim"), ("unknown_rank", 3, "bool")],
        "Tensor": [
            ("dtype", 1, "int32"),
            ("tensor_shape", 2, "Shape"),
            ("version_number", 3, "int32"),
            ("tensor_content", 4, "bytes"),
            ("float_val", 5, "repeated float"),
            ("double_val", 6, "repeated double"),
            ("int_val", 7, "repeated int32"),
            ("string_val", 8, "repeated bytes"),
            ("int64_val", 10, "repeated int64"),
            ("bool_val", 11, "repeated bool"),
            ("uint32_val", 16, "repeated uint32"),
            ("uint64_val", 17, "repeated uint64"),
        ],
        "ModelSpec": [
            ("name", 1, "string"),
            ("version", 2, ".google.protobuf.Int64Value"),
            ("signature_name", 3, "string"),
            ("version_label", 4, "string"),
        ],
        "PredictRequest": [("model_spec", 1, "ModelSpec"), ("inputs", 2, "map Tensor")],
        "PredictResponse": [("outputs", 1, "map Tensor"), ("model_spec", 2, "ModelSpec")],
    },
)
PredictRequest = _CLASSES["PredictRequest"]
PredictResponse = _CLASSES["PredictResponse"]


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code, 1 for what went wrong on the way."""
    parser = argparse.ArgumentParser(description="Classifies image files on a model server.")
    parser.add_argument("--server", required=True, help="HOST:PORT of its gRPC")
    parser.add_argument("--model", required=True, help="the model's name")
    parser.add_argument("--label", help="of a version, such as canary")
    parser.add_argument("--version", type=int, help="default: the newest")
    parser.add_argument("--ca", metavar="FILE", help="PEM of the server's authority, for TLS")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("files", metavar="FILE", nargs="+", help="JPEG or PNG")
    options = parser.parse_args(arguments)
    try:
        images = [_bytes_of(file) for file in options.files]
        certificates = _bytes_of(options.ca) if options.ca else None
        with Client(options.server, root_certificates=certificates) as client:
            answer = client.predict(
                options.model,
                {"image_bytes": images},
                signature_name="serve_bytes",
                version=options.version,
                version_label=options.label,
                timeout=options.timeout,
            )
    except grpc.RpcError as error:
        print(f"error: {error.code().name}: {error.details()}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for file, labels, scores in zip(options.files, answer["labels"], answer["scores"], strict=True):
        print(file)
        for label, score in zip(labels, scores, strict=True):
            print(f"{score:8.2%}  {label.decode()}")
    return 0


def _bytes_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
