"""A SavedModel that is loaded and can be asked."""

import os
import pathlib
import re
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from keras_attn.export import find_versions
from keras_attn.serving.errors import Code, ServingError, invalid_argument
from keras_attn.serving.signatures import Signature, TensorInfo, check_shapes

DEFAULT_SIGNATURE = "serving_default"
TAG = "serve"


class ServedModel:
    """The highest version under the base folder of a model.

    Args:
        path: The base folder, which holds `<version>/saved_model.pb`.
        name: What clients call the model. Default: the name of the folder.

    Attributes:
        name: What clients call the model.
        version: The version that is loaded.
        folder: Where it was loaded from.
        signature_defs: The signatures as the SavedModel has them.
        signatures: What each takes and gives.
    """

    def __init__(self, path: str | os.PathLike[str], *, name: str | None = None):
        base = pathlib.Path(path).resolve()
        self.name = base.name if name is None else name
        if not isinstance(self.name, str) or not re.fullmatch("[^/:]+", self.name):
            raise ValueError(
                f"`name` must be a non-empty string without '/' and ':'. Received: name={name!r}"
            )
        self.version, self.folder = _highest_version(base)
        try:
            self.signature_defs = _read_signature_defs(self.folder)
            self._loaded = tf.saved_model.load(os.fspath(self.folder))
            self._functions = self._loaded.signatures
        except Exception as error:  # what a corrupt folder raises is of many kinds
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(
                f"`path` must hold a SavedModel that can be loaded. Received: {self.folder}, "
                f"which fails with: {reason}"
            ) from error
        self.signatures = {name: _signature(proto) for name, proto in self.signature_defs.items()}

    def signature(self, name: str = "") -> tuple[str, Signature]:
        """Returns the name and the signature, `serving_default` for `""`."""
        name = name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
        if not self.signatures[name].inputs:
            raise invalid_argument(f"Failed to get input map for signature: {name}")
        return name, self.signatures[name]

    def predict(
        self, inputs: Mapping[str, np.ndarray], *, signature_name: str = ""
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            inputs: One array for each input.
            signature_name: Default: `serving_default`.

        Returns:
            One array for each output.
        """
        name, signature = self.signature(signature_name)
        check_shapes(signature, inputs)
        try:
            tensors = {key: tf.constant(array) for key, array in inputs.items()}
            outputs = self._functions[name](**tensors)
            return {key: value.numpy() for key, value in outputs.items()}
        except tf.errors.OpError as error:
            raise ServingError(Code(error.error_code), _plain_message(error.message)) from error


def _highest_version(base: pathlib.Path) -> tuple[int, pathlib.Path]:
    versions = find_versions(base)
    if not versions:
        hint = ""
        if not base.is_dir():
            hint = ", which is no folder"
        elif (base / "saved_model.pb").exists():
            hint = ", a version folder itself: give its parent"
        raise ValueError(
            "`path` must be the base folder of a model, with a numbered version folder in it. "
            f"Received: {str(base)!r}{hint}"
        )
    version = max(versions)
    return version, versions[version]


def _plain_message(message: str) -> str:
    """Without what Python's TensorFlow puts around the message of an operation."""
    message = re.sub(r"\AGraph execution error:\s*", "", message)
    message = re.sub(r"Detected at node .*\n<stack traces unavailable>\n", "", message)
    return re.sub(r" \[Op:\w+\]\Z", "", message)


def _read_signature_defs(folder: pathlib.Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((folder / "saved_model.pb").read_bytes())
    for meta_graph in saved_model.meta_graphs:
        if TAG in meta_graph.meta_info_def.tags:
            return dict(meta_graph.signature_def)
    raise ValueError(f"no graph with the tag {TAG!r}")


def _signature(proto: meta_graph_pb2.SignatureDef) -> Signature:
    return Signature(
        inputs={name: _tensor_info(info) for name, info in proto.inputs.items()},
        outputs={name: _tensor_info(info) for name, info in proto.outputs.items()},
    )


def _tensor_info(info: meta_graph_pb2.TensorInfo) -> TensorInfo:
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    dtype = types_pb2.DataType.Name(info.dtype).removeprefix("DT_").lower()
    return TensorInfo(dtype=dtype, shape=shape)
