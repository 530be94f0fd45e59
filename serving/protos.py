"""TF Serving's configuration messages: those of its package, and three that the package lacks.

The text format of `BatchingParameters`, `MonitoringConfig` and `SSLConfig` is TF Serving's; their
descriptors are made here, from the numbers and names of its documentation.
"""

import os
from typing import TypeVar

from google.protobuf import message, text_format

from keras_attn.serving.clients.grpc_client import make_messages

INT64, STRING, BOOL = (f".google.protobuf.{name}Value" for name in ("Int64", "String", "Bool"))

_CLASSES = make_messages(
    "keras_attn.serving",
    {
        "BatchingParameters": [
            ("max_batch_size", 1, INT64),
            ("batch_timeout_micros", 2, INT64),
            ("max_enqueued_batches", 3, INT64),
            ("num_batch_threads", 4, INT64),
            ("thread_pool_name", 5, STRING),
            ("allowed_batch_sizes", 6, "repeated int64"),
            ("pad_variable_length_inputs", 7, "bool"),
            ("enable_large_batch_splitting", 8, BOOL),
            ("max_execution_batch_size", 9, INT64),
        ],
        "PrometheusConfig": [("enable", 1, "bool"), ("path", 2, "string")],
        "MonitoringConfig": [("prometheus_config", 1, "PrometheusConfig")],
        "SSLConfig": [
            ("server_key", 1, "string"),
            ("server_cert", 2, "string"),
            ("custom_ca", 3, "string"),
            ("client_verify", 4, "bool"),
        ],
    },
)
BatchingParameters = _CLASSES["BatchingParameters"]
MonitoringConfig = _CLASSES["MonitoringConfig"]
SSLConfig = _CLASSES["SSLConfig"]

Message = TypeVar("Message", bound=message.Message)


def read_text_proto(path: str | os.PathLike[str], into: Message) -> Message:
    """Fills a message from a file in protobuf's text format.

    Args:
        path: Path of the file. ValueError tells where the file is wrong.
        into: An empty message.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text_format.Parse(file.read(), into)
            return into
    except (text_format.ParseError, UnicodeDecodeError) as error:
        name = into.DESCRIPTOR.name  # TF Serving's logs are searched for the words that follow
        raise ValueError(
            f"`{os.fspath(path)}` must be a {name} in protobuf's text format. "
            f"Error parsing text-format tensorflow.serving.{name}: {error}"
        ) from error
