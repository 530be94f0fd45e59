"""TensorFlow's operations that `keras.ops` has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def on_tensorflow_cpu() -> bool:
    """Whether TensorFlow sees no device but CPUs. Doesn't start its runtime."""
    return all(device.device_type == "CPU" for device in tf.config.list_physical_devices())


def fused_batch_norm() -> Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]] | None:
    """`batch_norm`, for what TensorFlow's own kernels run on a CPU.

    XLA, which fuses by itself, would take E[x^2] - E[x]^2 for the variance: less than zero where
    a channel is nearly constant. On other devices it wasn't tried.
    """
    return batch_norm if on_tensorflow_cpu() and not _compiled_by_xla() else None


def batch_norm(
    x: tf.Tensor,
    *,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    statistics: tuple[tf.Tensor, tf.Tensor] | None,
    epsilon: float,
    data_format: str,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """FusedBatchNormV3, whose gradient is one operation, too.

    In inference TensorFlow's graph optimizer makes one operation of the convolution before it, it,
    and the ReLU behind it.

    Args:
        x: Images, (B, H, W, C) or (B, C, H, W), float32.
        gamma: (C,), float32.
        beta: (C,), float32.
        statistics: Mean and variance to normalize by, (C,) each; `None` takes the batch's, and the
            gradient through them.
        epsilon: Added to the variance.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        `(y, mean, variance)`, the statistics without a gradient. The variance is that of the
        population: a sum over n, which the operation itself gives over n - 1.
    """
    mean, variance = statistics or ([], [])
    # tf.compat.v1.nn.fused_batch_norm would raise an epsilon of 1e-5 to 1.001e-5.
    y, new_mean, new_variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=gamma,
        offset=beta,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        data_format="NHWC" if data_format == "channels_last" else "NCHW",
        is_training=statistics is None,
    )
    if statistics is None:
        count = tf.cast(tf.size(x, tf.int64) // tf.size(gamma, tf.int64), x.dtype)
        mean, variance = new_mean, new_variance * (tf.maximum(count - 1, 1) / count)
    return y, tf.stop_gradient(mean), tf.stop_gradient(variance)


def value_and_gradient(
    function: Callable[[tf.Tensor], tuple[tf.Tensor, Any]], x: tf.Tensor
) -> tuple[tuple[tf.Tensor, Any], tf.Tensor]:
    """See `keras_attn.backend.value_and_gradient`."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        value, others = function(x)
    gradient: Any = tape.gradient(value, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return (value, others), gradient


def _compiled_by_xla() -> bool:
    """Whether a function with `jit_compile=True` is being traced."""
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        context = graph._get_control_flow_context()
        while context is not None:
            if context.IsXLAContext():
                return True
            context = context.outer_context
        graph = getattr(graph, "outer_graph", None)
    return False
