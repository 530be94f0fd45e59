"""A local server with the wire contract of TF Serving, and its client."""

from typing import TYPE_CHECKING, Any

from keras_attn import _startup

if _startup.at_once(__name__) or TYPE_CHECKING:
    from keras_attn.serving.batching.options import BatchingOptions as BatchingOptions
    from keras_attn.serving.clients.client import ServerError as ServerError
    from keras_attn.serving.clients.client import classify as classify
    from keras_attn.serving.clients.client import predict as predict
    from keras_attn.serving.clients.client import status as status
    from keras_attn.serving.config import ServerConfig as ServerConfig
    from keras_attn.serving.models.served_model import ServedModel as ServedModel
    from keras_attn.serving.options import ServerOptions as ServerOptions
    from keras_attn.serving.run import serve as serve
    from keras_attn.serving.run import start_server as start_server
    from keras_attn.serving.server import Server as Server

    if TYPE_CHECKING:
        from keras_attn.serving import kit as kit

    _room, __dir__ = _startup.rooms(__name__)
    _RENAMED = {"RunningServer": "Server"}  # until the next release

    def __getattr__(name: str) -> Any:
        """A room, imported when it is asked for; or what a renamed class is called now."""
        if name in _RENAMED:
            # Of an AttributeError `from keras_attn.serving import ...` would drop the message.
            new = _RENAMED[name]
            raise ImportError(f"`{name}` is called `{new}` now: {__name__}.{new}")
        return _room(name)

else:
    __getattr__ = _startup.later(__name__)
