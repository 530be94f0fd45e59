"""TF Serving's configuration messages: those of its package, and three that the package lacks.

The text format of `BatchingParameters`, `MonitoringConfig` and `SSLConfig` is TF Serving's; their
descriptors are made here, from the numbers and names of its documentation.
"""

import os
from typing import Any, TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, text_format
from google.protobuf import wrappers_pb2 as wrappers_pb2  # registers what the fields are made of

Field = descriptor_pb2.FieldDescriptorProto
INT64, STRING, BOOL = (f".google.protobuf.{name}Value" for name in ("Int64", "String", "Bool"))
PACKAGE = "keras_attn.serving"

# Message -> its fields: name, number, type (a message's name, or a scalar), whether repeated.
MESSAGES: dict[str, list[tuple[str, int, str | int, bool]]] = {
    "BatchingParameters": [
        ("max_batch_size", 1, INT64, False),
        ("batch_timeout_micros", 2, INT64, False),
        ("max_enqueued_batches", 3, INT64, False),
        ("num_batch_threads", 4, INT64, False),
        ("thread_pool_name", 5, STRING, False),
        ("allowed_batch_sizes", 6, Field.TYPE_INT64, True),
        ("pad_variable_length_inputs", 7, Field.TYPE_BOOL, False),
        ("enable_large_batch_splitting", 8, BOOL, False),
        ("max_execution_batch_size", 9, INT64, False),
    ],
    "PrometheusConfig": [
        ("enable", 1, Field.TYPE_BOOL, False),
        ("path", 2, Field.TYPE_STRING, False),
    ],
    "MonitoringConfig": [("prometheus_config", 1, f".{PACKAGE}.PrometheusConfig", False)],
    "SSLConfig": [
        ("server_key", 1, Field.TYPE_STRING, False),
        ("server_cert", 2, Field.TYPE_STRING, False),
        ("custom_ca", 3, Field.TYPE_STRING, False),
        ("client_verify", 4, Field.TYPE_BOOL, False),
    ],
}

Message = TypeVar("Message", bound=message.Message)


def _make_messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="keras_attn/serving/protos.proto",
        package=PACKAGE,
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    for name, fields in MESSAGES.items():
        proto = file.message_type.add(name=name)
        for field_name, number, kind, repeated in fields:
            field = proto.field.add(name=field_name, number=number)
            field.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
            if isinstance(kind, str):
                field.type, field.type_name = Field.TYPE_MESSAGE, kind
            else:
                field.type = kind
    pool = descriptor_pool.Default()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in MESSAGES
    }


_classes = _make_messages()
BatchingParameters = _classes["BatchingParameters"]
MonitoringConfig = _classes["MonitoringConfig"]
SSLConfig = _classes["SSLConfig"]


def read_text_proto(path: str | os.PathLike[str], into: Message) -> Message:
    """Fills a message from a file in protobuf's text format.

    Args:
        path: Of the file. ValueError tells where it is wrong.
        into: An empty message.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return text_format.Parse(file.read(), into)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        name = into.DESCRIPTOR.name  # TF Serving's logs are searched for the words that follow
        raise ValueError(
            f"`{os.fspath(path)}` must be a {name} in protobuf's text format. "
            f"Error parsing text-format tensorflow.serving.{name}: {error}"
        ) from error
