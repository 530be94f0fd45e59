"""What an exported image network computes: a float image batch in, named float32 tensors out."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from keras_attn._keras import made_by, sources_of
from keras_attn.typing import Tensor

MAIN = "probabilities"
TOKENS = "tokens"  # of a network that writes captions
MAINS = (MAIN, TOKENS)
Endpoint = Callable[[Tensor], dict[str, tf.Tensor]]


def check_image_model(model: keras.Model) -> None:
    """Raises ValueError unless `model` is a built network from images to one output, or to a dict.

    Args:
        model: A functional or Sequential network of `(B, H, W, C)`, or `(B, C, H, W)`.
    """
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(
            "`model` must be a functional or built Sequential `keras.Model`, whose input is known. "
            f"Received: model={model}"
        )
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            "`model` must have one input, a batch of images of rank 4. "
            f"Received: input shapes={shapes}"
        )
    if shapes[0][1:].count(None) > 2:
        raise ValueError(
            f"`model` must know its number of channels. Received: input shape={shapes[0]}"
        )
    if not keras.backend.is_float_dtype(model.inputs[0].dtype):
        raise ValueError(
            f"`model` must take floating images. Received: input dtype={model.inputs[0].dtype}"
        )
    if len(model.outputs) != 1 and not has_named_outputs(model):
        shapes = [tuple(tensor.shape) for tensor in model.outputs]
        raise ValueError(
            f"`model` must have one output, or a dict of tensors with {MAIN!r} or {TOKENS!r}. "
            f"Received: output shapes={shapes}"
        )


def has_named_outputs(model: keras.Model) -> bool:
    """Whether a network gives a dict of several tensors, of which `MAINS` has one."""
    return _main_of(model) is not None


def _main_of(model: keras.Model) -> str | None:
    if len(model.outputs) == 1:
        return None
    output = model.output
    is_flat = isinstance(output, dict) and len(output) == len(model.outputs)
    return next((name for name in MAINS if is_flat and name in output), None)


def writes_captions(model: keras.Model) -> bool:
    """Whether a network gives the tokens of captions."""
    return _main_of(model) == TOKENS


def class_output(model: keras.Model) -> keras.KerasTensor:
    """What a network is asked for, of one that `check_image_model` accepts: its classes' scores.

    Of one that writes captions it is their tokens.
    """
    main = _main_of(model)
    return model.outputs[0] if main is None else model.output[main]


def image_endpoint(model: keras.Model) -> Endpoint:
    """Returns the function of `serving_default`.

    A network that ends in a softmax gives `logits` and `probabilities`, the second computed from
    the first in float32; one that gives a dict gives all that is in it; one that ends otherwise
    gives `outputs`. All but integers are float32, whatever the dtype policy is, because TF
    Serving's REST interface can't write 16-bit floats.

    Args:
        model: A network that `check_image_model` accepts.
    """
    if has_named_outputs(model):
        return lambda image: {
            name: as_served(value) for name, value in _called(model, image).items()
        }
    logits_function = _logits_function(model)
    if logits_function is None:
        return lambda image: {"outputs": tf.cast(call_on_images(model, image), tf.float32)}
    return functools.partial(_classify, logits_function)


def with_constants(endpoint: Endpoint, shape: tuple[int | None, ...]) -> Endpoint:
    """The same function with its variables as constants, in one graph for all who call it.

    TensorFlow's graph optimizer and oneDNN do more with what can't change: operations are fused,
    and kernels laid out once.

    Args:
        endpoint: A function of images.
        shape: Theirs, (H, W, C).
    """
    images = tf.TensorSpec((None, *shape), tf.float32)
    concrete = tf.function(endpoint, autograph=False).get_concrete_function(images)
    # Loops stay functions, as they are in the network's own graph.
    constant = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    names = sorted(concrete.structured_outputs)  # the order of a dict's tensors

    def run(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(names, tf.nest.flatten(constant(image)), strict=True))

    return run


def as_served(value: Tensor) -> tf.Tensor:
    """A tensor in a dtype that TF Serving's REST interface writes: integers as they are."""
    is_int = tf.as_dtype(value.dtype).is_integer
    return tf.convert_to_tensor(value) if is_int else tf.cast(value, tf.float32)


def call_on_images(model: keras.Model, image: tf.Tensor) -> tf.Tensor:
    """What `class_output` says, be the network's one input bare, in a list or in a dict."""
    outputs, main = _called(model, image), _main_of(model)
    return keras.tree.flatten(outputs)[0] if main is None else outputs[main]


def _called(model: keras.Model, image: tf.Tensor) -> Any:
    inputs = image
    if not isinstance(model, keras.Sequential):
        inputs = keras.tree.pack_sequence_as(model.input, [image])
    return model(inputs, training=False)


def _logits_function(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """Returns images -> what the closing softmax sees, or None where no softmax closes `model`."""
    last, before = _split_at_last_layer(model)
    head: Callable[[tf.Tensor], tf.Tensor] | None = None
    if isinstance(last, keras.Model):
        if len(getattr(last, "inputs", None) or []) == 1 and len(last.outputs) == 1:
            head = _logits_function(last)
    elif type(last) is keras.layers.Dense and last.quantization_mode is None:
        if last.activation is keras.activations.softmax:
            head = functools.partial(_affine, last)
    elif isinstance(last, keras.layers.Activation):
        if last.activation is keras.activations.softmax:
            head = tf.identity
    elif isinstance(last, keras.layers.Softmax) and last.axis in (-1, [-1], (-1,)):
        head = tf.identity
    return None if head is None or before is None else _compose(before, head)


def _compose(
    before: keras.Model, head: Callable[[tf.Tensor], tf.Tensor]
) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda image: head(call_on_images(before, image))


def _classify(
    logits_function: Callable[[tf.Tensor], tf.Tensor], image: tf.Tensor
) -> dict[str, tf.Tensor]:
    logits = tf.cast(logits_function(image), tf.float32)  # (B, ..., classes)
    return {"logits": logits, "probabilities": tf.nn.softmax(logits, axis=-1)}


def _split_at_last_layer(model: keras.Model) -> tuple[keras.Operation, keras.Model | None]:
    """Returns the operation that gives the output, and the network up to its (one) input."""
    last, sources = made_by(model.outputs[0]), sources_of(model.outputs[0])
    if len(sources) != 1:
        return last, None
    return last, keras.Model(model.inputs[0], sources[0])


def _affine(dense: keras.layers.Dense, features: tf.Tensor) -> tf.Tensor:
    """The layer without its activation, in its compute dtype: (B, ..., C) -> (B, ..., units)."""
    dtype = dense.compute_dtype
    logits = keras.ops.matmul(tf.cast(features, dtype), tf.cast(dense.kernel, dtype))
    return logits + tf.cast(dense.bias, dtype) if dense.use_bias else logits
