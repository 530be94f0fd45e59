"""A SavedModel in a TensorFlow session, loaded step for step as TF Serving's C++ loader does."""

import contextlib
import gc
import os
import pathlib
import re
import threading
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, saved_model_pb2

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.models.graph_call import GraphCall, graph_call
from keras_attn.serving.models.signatures import Signature, TensorInfo

SERVE_TAGS = ("serve",)
INIT_OP = "__saved_model_init_op"
VARIABLES = "variables/variables"
DECODERS = {
    "DecodeImage", "DecodeJpeg", "DecodePng", "DecodeGif", "DecodeBmp", "DecodeWebP", "DecodeJxl",
    "DecodeAndCropJpeg",
}  # fmt: skip


class ModelSession:
    """The graph of a SavedModel with its variables; many threads may run it at once.

    Args:
        folder: The SavedModel. What is wrong with it raises ValueError, in one line.
        session_config: TensorFlow's own settings, such as its numbers of threads.
        tags: Tags of the graph to take from the SavedModel: all of them, and no other.

    Attributes:
        signature_defs: The signatures as the SavedModel has them.
        signatures: The inputs and outputs of each signature.
        decodes_images: Whether an operation of the graph decodes images.
        needs_xla: The names of the functions that only run where XLA is on. TF Serving has it off.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        session_config: config_pb2.ConfigProto | None = None,
        tags: Sequence[str] = SERVE_TAGS,
    ):
        folder = pathlib.Path(folder)
        self._lock = threading.Lock()
        self._callables: dict[tuple[tuple[str, ...], tuple[str, ...]], GraphCall] = {}
        try:
            meta_graph = _read_meta_graph(folder, tags)
            graph = tf.Graph()
            with graph.as_default():
                tf.import_graph_def(meta_graph.graph_def, name="")
            graph.finalize()
            self._session = tf.compat.v1.Session(graph=graph, config=session_config)
        except Exception as error:  # what a corrupt folder raises is of many kinds
            raise _not_loadable(folder, error) from error
        try:
            self._restore(folder, meta_graph)
        except Exception as error:
            self._session.close()
            raise _not_loadable(folder, error) from error
        self.signature_defs = dict(meta_graph.signature_def)
        self.signatures = {
            name: _signature(proto, graph) for name, proto in self.signature_defs.items()
        }
        self.decodes_images = not DECODERS.isdisjoint(_operations(meta_graph))
        self.needs_xla = [
            function.signature.name
            for function in meta_graph.graph_def.library.function
            if function.attr["_XlaMustCompile"].b
        ]

    def _restore(self, folder: pathlib.Path, meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
        """Reads the variables, then runs the graph's own initialisation, which gets the assets."""
        assets = {
            asset.tensor_info.name: os.fspath(folder / "assets" / asset.filename)
            for asset in meta_graph.asset_file_def
        }
        saver = meta_graph.saver_def
        if saver.restore_op_name and (folder / (VARIABLES + ".index")).exists():
            file = {saver.filename_tensor_name: os.fspath(folder / VARIABLES)}
            self._session.run(saver.restore_op_name, {**file, **assets})
        elif saver.restore_op_name and _holds_variables(meta_graph):
            raise ValueError(f"no file {VARIABLES}.index")
        if INIT_OP in meta_graph.signature_def:
            name = meta_graph.signature_def[INIT_OP].outputs[INIT_OP].name
            self._session.run(name, assets)
        else:
            for key in ("saved_model_main_op", "legacy_init_op"):
                for name in meta_graph.collection_def[key].node_list.value:
                    self._session.run(name, assets)

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]) -> list[np.ndarray]:
        """Runs the graph.

        Args:
            feeds: Arrays by the names of the graph's tensors.
            fetches: Names of the graph's tensors.
        """
        key = (tuple(feeds), tuple(fetches))
        try:
            with self._lock:
                function = self._callables.get(key)
                if function is None:  # what is no tensor, such as an operation, is refused here
                    function = graph_call(self._session, list(feeds), list(fetches))
                    self._callables[key] = function
            outputs = function(*feeds.values())
        except tf.errors.OpError as error:
            raise ServingError(Code(error.error_code), _plain_message(error.message)) from error
        return [  # a string without dimensions comes as bytes
            np.array(value, np.object_) if isinstance(value, bytes) else np.asarray(value)
            for value in outputs
        ]

    def close(self) -> None:
        """Frees the variables. Nothing may run any more."""
        self._callables.clear()
        self._session.close()
        del self._session  # the C++ session goes with the last reference to it
        gc.collect()  # and the graph, whose parts refer to each other


def _read_meta_graph(folder: pathlib.Path, tags: Sequence[str]) -> meta_graph_pb2.MetaGraphDef:
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((folder / "saved_model.pb").read_bytes())
    for meta_graph in saved_model.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == set(tags):
            return meta_graph
    found = [_braces(meta_graph.meta_info_def.tags) for meta_graph in saved_model.meta_graphs]
    raise ValueError(
        f"Could not find meta graph def matching supplied tags: {_braces(tags)}, "
        f"only {', '.join(found) or 'none at all'}"
    )


def _braces(tags: Iterable[str]) -> str:
    return "{ " + " ".join(sorted(tags)) + " }"


def _holds_variables(meta_graph: meta_graph_pb2.MetaGraphDef) -> bool:
    return bool(_operations(meta_graph) & {"VarHandleOp", "VariableV2"})


def _operations(meta_graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
    """The kinds of operations in the graph and in its functions."""
    functions = meta_graph.graph_def.library.function
    ops = {node.op for node in meta_graph.graph_def.node}
    return ops | {node.op for function in functions for node in function.node_def}


def _not_loadable(folder: pathlib.Path, error: Exception) -> ValueError:
    message = str(error)
    if isinstance(error, tf.errors.OpError):
        message = getattr(error, "message", message)
    lines = _plain_message(message).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    return ValueError(
        "`path` must hold a SavedModel that can be loaded. "
        f"Received: {folder}, which fails with: {reason}"
    )


def _plain_message(message: str) -> str:
    """Without what Python's TensorFlow puts around the message of an operation."""
    message = re.sub(r"\AGraph execution error:\s*", "", message)
    return re.sub(r"Detected at node .*\n<stack traces unavailable>\n", "", message)


def _signature(proto: meta_graph_pb2.SignatureDef, graph: tf.Graph) -> Signature:
    return Signature(
        inputs={name: _tensor_info(proto.inputs[name], graph) for name in sorted(proto.inputs)},
        outputs={name: _tensor_info(proto.outputs[name], graph) for name in sorted(proto.outputs)},
        method_name=proto.method_name,
    )


def _tensor_info(info: meta_graph_pb2.TensorInfo, graph: tf.Graph) -> TensorInfo:
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    kind = info.dtype
    # A signature may be wrong about it: TF Serving's half_plus_three calls its examples floats.
    with contextlib.suppress(KeyError, ValueError):  # no such tensor
        kind = graph.get_tensor_by_name(info.name).dtype.base_dtype.as_datatype_enum
    dtype = types_pb2.DataType.Name(kind).removeprefix("DT_").lower()
    return TensorInfo(dtype=dtype, shape=shape, name=info.name)
