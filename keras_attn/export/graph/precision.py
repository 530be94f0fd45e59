"""A network that computes in 16 bits, made again in float32: what it is exported in."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_attn._keras import layers_of
from keras_attn.export.checks.comparison import EPSILON, NOISE_DRAWS, NOISE_FACTOR, run_moved
from keras_attn.export.graph.endpoint import call_on_images
from keras_attn.insertion.rebuild import copy_operation, functional, rebuilt

SIXTEEN_BITS = tuple(EPSILON)


def sixteen_bit_policies(model: keras.Model) -> list[str]:
    """The names of the dtype policies of a network's layers that compute in 16 bits.

    Args:
        model: Any network.
    """
    policies = [layer.dtype_policy for layer in layers_of(model)]
    return sorted(
        {p.name for p in policies if {p.compute_dtype, p.variable_dtype} & set(SIXTEEN_BITS)}
    )


def in_float32(model: keras.Model) -> keras.Model:
    """Makes a network again whose layers all compute in float32, with the same weights.

    Other runtimes have no 16-bit kernels for most operations: TFLite none for float16, ONNX
    Runtime none for bfloat16. And on a server's CPU they are the slower ones.

    Args:
        model: A functional or built Sequential network. It stays as it is.

    Returns:
        The new network. Nested ones are functional in it, too.

    Raises:
        ValueError: If a layer can't be made again from its configuration.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # of what layers make without saying of which
    try:
        return rebuilt(
            functional(model), lambda layer, *args, **kwargs: layer(*args, **kwargs), _copy
        )
    finally:
        keras.config.set_dtype_policy(policy)


def compare_precisions(
    model: keras.Model, copy: keras.Model, image: np.ndarray, policies: Sequence[str]
) -> dict[str, Any]:
    """Raises RuntimeError unless a network in float32 gives what it gives in 16 bits.

    But for rounding, that is: eight steps of 16 bits, or four times what the network makes of one.

    Args:
        model: The network in 16 bits.
        copy: The one in float32.
        image: The images that both are run on, `(B, H, W, C)`.
        policies: The names of the dtype policies in `model`.

    Returns:
        The record: the greatest difference, and its bound.
    """
    generator = np.random.default_rng(0)

    def run(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"": tf.cast(call_on_images(copy, images), tf.float32)}

    images = tf.convert_to_tensor(image)
    expected = run(images)[""].numpy()
    got = tf.cast(call_on_images(model, images), tf.float32).numpy()
    record: dict[str, Any] = {"policies": list(policies)}
    if not np.isfinite(got).all():  # an overflow, which float32 mends
        return {**record, "max_difference": None, "bound": None}
    step = max(EPSILON[name] for name in EPSILON if any(name in policy for policy in policies))
    draws = [run_moved(run, copy, images, generator, step)[""] for _ in range(NOISE_DRAWS)]
    noise = max(float(np.max(np.abs(draw - expected), initial=0.0)) for draw in draws)
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    bound = max(8 * step * scale, NOISE_FACTOR * noise)
    difference = float(np.max(np.abs(got - expected), initial=0.0))
    if not difference <= bound:  # so that NaN fails
        raise RuntimeError(
            f"The network must give in float32 what it gives in {', '.join(policies)}, to "
            f"{bound:.3g}. Received: max abs difference={difference:.3g} for input of shape "
            f"{image.shape}"
        )
    return {**record, "max_difference": difference, "bound": bound}


def _copy(operation: Any) -> Any:
    if isinstance(operation, keras.Model) and getattr(operation, "inputs", None):
        return in_float32(operation)
    return copy_operation(operation, _without_16_bits(operation.get_config()))


def _without_16_bits(config: Any) -> Any:
    """A configuration with float32 for each dtype, and each dtype policy, of 16 bits."""
    if isinstance(config, dict):
        is_policy = str(config.get("class_name")).endswith("DTypePolicy")
        return {
            key: {name: _float32(value) for name, value in value.items()}
            if is_policy and key == "config"
            else _without_16_bits(_float32(value) if key == "dtype" else value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_without_16_bits(value) for value in config)
    return config


def _float32(name: Any) -> Any:
    found = isinstance(name, str) and name.removeprefix("mixed_") in SIXTEEN_BITS
    return "float32" if found else name
