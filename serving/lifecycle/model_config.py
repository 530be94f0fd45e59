"""A `models.config`, read and refused as TF Serving does."""

import os
import pathlib
import re
from typing import Any

from tensorflow_serving.config import model_server_config_pb2

from keras_attn.serving.errors import Code, ServingError, invalid_argument
from keras_attn.serving.lifecycle.version_policy import ALL, ModelEntry, VersionPolicy
from keras_attn.serving.models.served_model import check_name
from keras_attn.serving.protos import read_text_proto

PLATFORM = "tensorflow"


def read_model_config(path: str | os.PathLike[str]) -> list[ModelEntry]:
    """Returns the models of a file in the text format of ModelServerConfig.

    Args:
        path: Path of the file. What is wrong with the file raises ValueError.
    """
    config = read_text_proto(path, model_server_config_pb2.ModelServerConfig())
    try:
        return model_entries(config)
    except ServingError as error:
        raise ValueError(f"`{os.fspath(path)}`: {error.message}") from error


def model_entries(config: model_server_config_pb2.ModelServerConfig) -> list[ModelEntry]:
    """Returns the models of a ModelServerConfig; ServingError tells what is wrong with it."""
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid_argument(
            "ServerModelConfig type not supported by HandleReloadConfigRequest."
            " Only ModelConfigList is currently supported"
        )
    entries: dict[str, ModelEntry] = {}
    for model in config.model_config_list.config:
        if model.name in entries:
            raise invalid_argument(
                f"Illegal to list model {model.name} multiple times in config list"
            )
        _check_platform(model)
        base_path = pathlib.Path(local_path(model.base_path))
        if not base_path.is_absolute():
            raise invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; "
                f"got base_path()={model.base_path}"
            )
        try:
            check_name(model.name)
        except ValueError as error:
            raise invalid_argument(str(error)) from None
        entries[model.name] = ModelEntry(
            name=model.name,
            base_path=base_path,
            policy=_policy(model.model_version_policy),
            labels=dict(model.version_labels),
        )
    return list(entries.values())


def local_path(path: str) -> str:
    """Returns the path of a `file://` URI, and any other path as it is."""
    uri = re.match("([A-Za-z][A-Za-z0-9.]*)://[^/]*", path)
    if uri is None:
        return path
    if uri[1] != "file":
        raise ServingError(
            Code.UNIMPLEMENTED, f"File system scheme '{uri[1]}' not implemented (file: '{path}')"
        )
    return path[uri.end() :]


def _check_platform(model: model_server_config_pb2.ModelConfig) -> None:
    if model.model_type != model_server_config_pb2.MODEL_TYPE_UNSPECIFIED:
        if model.model_platform:
            raise invalid_argument(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                f"ModelServerConfig::model_platform, model name is {model.name}"
            )
        if model.model_type != model_server_config_pb2.TENSORFLOW:
            raise invalid_argument(
                f"ModelServerConfig::model_type choice {model.model_type} not supported."
            )
    elif not model.model_platform:
        raise invalid_argument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            f"ModelServerConfig::model_platform, model name is {model.name}"
        )
    elif model.model_platform != PLATFORM:
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f"Model {model.name} requests unsupported platform {model.model_platform}",
        )


def _policy(policy: Any) -> VersionPolicy:
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return ALL
    if choice == "specific":
        return VersionPolicy(specific=frozenset(policy.specific.versions))
    return VersionPolicy(latest=max(policy.latest.num_versions, 1))
