"""TensorFlow's operations that `keras.ops` has not."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def batch_norm(
    x: tf.Tensor,
    gamma: Any,
    beta: Any,
    *,
    statistics: tuple[Any, Any] | None = None,
    epsilon: float,
    data_format: str,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """FusedBatchNormV3, which has one kernel for each direction.

    TensorFlow's graph optimizer puts it into the convolution before it, and the ReLU behind it.

    Args:
        x: Images, (B, H, W, C) or (B, C, H, W), float32.
        gamma: (C,).
        beta: (C,).
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
        count = tf.cast(tf.size(x) // tf.size(gamma), x.dtype)
        mean, variance = new_mean, new_variance * (tf.maximum(count - 1, 1) / count)
    return y, tf.stop_gradient(mean), tf.stop_gradient(variance)
