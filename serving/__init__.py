"""A local server with the wire contract of TF Serving, and its client."""

from keras_attn.serving.batching.options import BatchingOptions as BatchingOptions
from keras_attn.serving.clients.client import ServerError as ServerError
from keras_attn.serving.clients.client import classify as classify
from keras_attn.serving.clients.client import predict as predict
from keras_attn.serving.clients.client import status as status
from keras_attn.serving.models.served_model import ServedModel as ServedModel
from keras_attn.serving.options import ServerOptions as ServerOptions
from keras_attn.serving.running_server import RunningServer as RunningServer
from keras_attn.serving.server import serve as serve
from keras_attn.serving.server import start_server as start_server
