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
PACKAGE = "keras_attn.grpc_client"
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
        max_message_bytes: Of a request or a reply.

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
            request_serializer=lambda request: request.SerializeToString(),
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
            model: Its name.
            inputs: Name -> array, or a list of byte strings.
            signature_name: Of the model.
            version: Default: the newest that is served.
            version_label: Such as `"canary"`; instead of `version`.
            timeout: In seconds.

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


def _make_messages() -> tuple[Any, ...]:
    """The classes of PredictRequest and PredictResponse."""
    field = descriptor_pb2.FieldDescriptorProto
    scalars = {
        "string": field.TYPE_STRING, "bytes": field.TYPE_BYTES, "bool": field.TYPE_BOOL,
        "int32": field.TYPE_INT32, "int64": field.TYPE_INT64, "uint32": field.TYPE_UINT32,
        "uint64": field.TYPE_UINT64, "float": field.TYPE_FLOAT, "double": field.TYPE_DOUBLE,
    }  # fmt: skip
    # Message -> field, its number, its type; `*` for a list.
    messages: dict[str, list[tuple[str, int, str]]] = {
        "Dim": [("size", 1, "int64"), ("name", 2, "string")],
        "Shape": [("dim", 2, "*Dim"), ("unknown_rank", 3, "bool")],
        "Tensor": [
            ("dtype", 1, "int32"), ("tensor_shape", 2, "Shape"), ("version_number", 3, "int32"),
            ("tensor_content", 4, "bytes"), ("float_val", 5, "*float"),
            ("double_val", 6, "*double"), ("int_val", 7, "*int32"), ("string_val", 8, "*bytes"),
            ("int64_val", 10, "*int64"), ("bool_val", 11, "*bool"), ("uint32_val", 16, "*uint32"),
            ("uint64_val", 17, "*uint64"),
        ],
        "ModelSpec": [
            ("name", 1, "string"), ("version", 2, ".google.protobuf.Int64Value"),
            ("signature_name", 3, "string"), ("version_label", 4, "string"),
        ],
        "PredictRequest": [("model_spec", 1, "ModelSpec"), ("inputs", 2, "map")],
        "PredictResponse": [("outputs", 1, "map"), ("model_spec", 2, "ModelSpec")],
    }  # fmt: skip
    file = descriptor_pb2.FileDescriptorProto(
        name="keras_attn/grpc_client.proto", package=PACKAGE, syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )  # fmt: skip
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for key, number, kind in fields:
            made = message.field.add(name=key, number=number, label=field.LABEL_OPTIONAL)
            if kind.startswith("*") or kind == "map":
                made.label = field.LABEL_REPEATED
            kind = kind.removeprefix("*")
            if kind in scalars:
                made.type = scalars[kind]
                continue
            made.type = field.TYPE_MESSAGE
            if kind == "map":
                kind = f"{name}.{key.capitalize()}Entry"
                entry = message.nested_type.add(name=f"{key.capitalize()}Entry")
                entry.options.map_entry = True
                entry.field.add(
                    name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING
                )
                entry.field.add(
                    name="value", number=2, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE,
                    type_name=f".{PACKAGE}.Tensor",
                )  # fmt: skip
            made.type_name = kind if kind.startswith(".") else f".{PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return tuple(
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in ("PredictRequest", "PredictResponse")
    )


PredictRequest, PredictResponse = _make_messages()


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
