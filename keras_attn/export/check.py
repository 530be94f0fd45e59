"""Runs a written SavedModel against the network that it was made from."""

import itertools
import os

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_attn.export.endpoint import Endpoint, call_on_images

BATCH_SIZES = (1, 3)
# What stands for an open dimension, in turn: sizes that networks of five halvings take too.
OPEN_SIZES = ((64, 96), (96, 128))
MAX_DIFFERENCE = 1e-5
# The step from 1 to the next number. Where a layer computes in 16 bits, so does the reference, and
# eager and graph round in different places: then eight such steps are the bound.
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7}


def check_saved_model(
    folder: str | os.PathLike[str], model: keras.Model, endpoint: Endpoint, *, signature: str
) -> None:
    """Raises RuntimeError unless TF Serving can run the SavedModel and it equals `model`.

    Args:
        folder: The SavedModel.
        model: The network: the reference of `probabilities` or `outputs`.
        endpoint: What was written: the reference of every output.
        signature: The signature's name.
    """
    _check_no_xla(folder)
    serve = tf.saved_model.load(os.fspath(folder)).signatures[signature]
    bound = _bound(model)
    generator = np.random.default_rng(0)
    for shape in _image_shapes(tuple(model.inputs[0].shape)):
        images = tf.constant(generator.random(shape), tf.float32)
        expected = {name: value.numpy() for name, value in endpoint(images).items()}
        main = "probabilities" if "probabilities" in expected else "outputs"
        expected[main] = np.asarray(call_on_images(model, images), np.float32)
        actual = serve(image=images)
        for name, reference in expected.items():
            _compare(name, actual[name].numpy(), reference, bound=bound, image_shape=shape)


def _compare(
    name: str,
    actual: np.ndarray,
    expected: np.ndarray,
    *,
    bound: float,
    image_shape: tuple[int, ...],
) -> None:
    """The bound is relative to the greatest expected value, where that is over 1."""
    if actual.shape != expected.shape:
        raise RuntimeError(
            f"The SavedModel's `{name}` must have the model's shape {expected.shape}. "
            f"Received: shape={actual.shape} for images of shape {image_shape}"
        )
    difference = float(np.max(np.abs(actual - expected), initial=0.0))
    limit = bound * max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    if not difference <= limit:  # so that NaN fails
        raise RuntimeError(
            f"The SavedModel's `{name}` must equal the model's to {limit:.3g}. "
            f"Received: max abs difference={difference:.3g} for images of shape {image_shape}"
        )


def _image_shapes(input_shape: tuple[int | None, ...]) -> list[tuple[int, ...]]:
    """(None, H, W, C) with None for open sizes -> the shapes to run."""
    shapes = []
    for batch, sizes in itertools.product(BATCH_SIZES, OPEN_SIZES):
        fill = iter(sizes)
        shape = (batch, *(next(fill) if size is None else size for size in input_shape[1:]))
        if shape not in shapes:
            shapes.append(shape)
    return shapes


def _bound(model: keras.Model) -> float:
    coarsest = max(EPSILON.get(layer.compute_dtype, 0.0) for layer in model._flatten_layers())
    return max(MAX_DIFFERENCE, 8 * coarsest)


def _check_no_xla(folder: str | os.PathLike[str]) -> None:
    """TF Serving runs with XLA off, and a function that must be compiled then fails."""
    saved_model = saved_model_pb2.SavedModel()
    with open(os.path.join(folder, "saved_model.pb"), "rb") as file:
        saved_model.ParseFromString(file.read())
    for meta_graph in saved_model.meta_graphs:
        for function in meta_graph.graph_def.library.function:
            if function.attr["_XlaMustCompile"].b:
                raise RuntimeError(
                    "The SavedModel must have no function that needs XLA, which TF Serving runs "
                    f"without. Received: {function.signature.name!r} with _XlaMustCompile; a "
                    "`jit_compile=True` or Keras's own Conv2D with `groups` above 1 makes one"
                )
