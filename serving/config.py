"""What a server is told: its models, its ports and its options, in one object."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from keras_attn.serving.errors import ServingError
from keras_attn.serving.lifecycle.model_config import local_path, read_model_config
from keras_attn.serving.lifecycle.version_policy import ModelEntry
from keras_attn.serving.models.served_model import check_name
from keras_attn.serving.options import ServerOptions
from keras_attn.serving.process.ports import check_port
from keras_attn.serving.process.tls import Tls, read_tls


@dataclasses.dataclass(frozen=True)
class ServerConfig:
    """All that a `Server` is told. It can be sent to another process.

    Args:
        models: The models, with their folders, version policies and labels.
        host: The address to listen at.
        port: The port of REST; 0 takes a free one. With None it is a free one of 127.0.0.1.
        grpc_port: The port of gRPC; 0 takes a free one, None has none.
        options: Everything that has a default.
        tls: Key and certificates of both ports. Default: plain text.
        model_config_file: The file that `models` were read from. It is read again every
            `ServerOptions.model_config_file_poll_wait_seconds`.
    """

    models: Sequence[ModelEntry]
    host: str = "127.0.0.1"
    port: int | None = 8501
    grpc_port: int | None = 8500
    options: ServerOptions = dataclasses.field(default_factory=ServerOptions)
    tls: Tls | None = None
    model_config_file: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        for name in ("port", "grpc_port"):
            if getattr(self, name) is not None:
                check_port(name, getattr(self, name))

    @property
    def rest_address(self) -> tuple[str, int]:
        """Host and port of REST."""
        return ("127.0.0.1", 0) if self.port is None else (self.host, self.port)


def read_config(
    path: str | os.PathLike[str] | None,
    *,
    name: str | None,
    model_config_file: str | os.PathLike[str] | None,
    host: str,
    port: int | None,
    grpc_port: int | None,
    options: ServerOptions | None,
) -> ServerConfig:
    """Returns the configuration that the arguments of `serve` and `start_server` come to."""
    options = options or ServerOptions()
    if (path is None) == (model_config_file is None):
        raise ValueError(
            "Exactly one of `path` and `model_config_file` must be given. "
            f"Received: path={path!r}, model_config_file={model_config_file!r}"
        )
    if path is not None:
        models = [_single_model(path, name)]
    else:
        models = read_model_config(model_config_file)  # type: ignore[arg-type]
    return ServerConfig(
        models=models,
        host=host,
        port=port,
        grpc_port=grpc_port,
        options=options,
        tls=None if options.ssl_config_file is None else read_tls(options.ssl_config_file),
        model_config_file=model_config_file,
    )


def _single_model(path: str | os.PathLike[str], name: str | None) -> ModelEntry:
    try:
        base = pathlib.Path(local_path(os.fspath(path))).resolve()
    except ServingError as error:
        raise ValueError(f"`path` must be a local folder. Received: {error.message}") from None
    entry = ModelEntry(name=check_name(base.name if name is None else name), base_path=base)
    if not entry.find():
        hint = ""
        if not base.is_dir():
            hint = ", which is no folder"
        elif (base / "saved_model.pb").exists():
            hint = ", a version folder itself: give its parent"
        raise ValueError(
            "`path` must be the base folder of a model, with a numbered version folder in it. "
            f"Received: {str(base)!r}{hint}"
        )
    return entry
