"""BatchNormalization by the backend's fused operation, where it has one."""

from __future__ import annotations

import keras
from keras import ops

from keras_attn import backend
from keras_attn.layers._empty import AnyBatch
from keras_attn.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class BatchNormalization(AnyBatch, keras.layers.BatchNormalization):
    """Keras's BatchNormalization: the same arguments, weights and numbers, in less time.

    [Ioffe and Szegedy, ICML 2015](https://arxiv.org/abs/1502.03167). Keras puts it together from
    moments, products and sums, each of them a pass over the map, and their gradients from more. On
    a CPU under TensorFlow, images are normalized by one operation here, and one for the gradient;
    in inference, TensorFlow's graph optimizer joins it to the convolution before it.

    It is Keras's own on other devices, on JAX and PyTorch and under XLA; and for what isn't an
    image, in float64, with a mask, with `renorm`, and in training with `synchronized`. But a batch
    of no image, where its size is known, leaves the statistics as they are: Keras's are NaN then.

    Args:
        **kwargs: The arguments of `keras.layers.BatchNormalization`.

    Input shape:
        Any; an image is (B, H, W, C) with `axis` -1 or 3, or (B, C, H, W) with `axis` 1.

    Output shape:
        As the input.

    Call arguments:
        inputs: Tensor of floats. 16-bit ones are normalized in float32.
        training: Whether to use the batch's mean and variance, and move the moving ones.
        mask: Which places count, one dimension less than `inputs`.

    Raises:
        ValueError: If `mask` doesn't have one dimension less than `inputs`.

    Example:

    >>> norm = keras_attn.layers.BatchNormalization(epsilon=1e-5)
    >>> x = np.array([1.0, 3.0, 5.0, 7.0], "float32").reshape(1, 2, 2, 1)
    >>> print(keras.ops.convert_to_numpy(norm(x, training=True)).ravel().round(3))
    [-1.342 -0.447  0.447  1.342]
    """

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        """Returns the normalized inputs."""
        from_batch = bool(training and self.trainable)
        data_format = self._image_format(inputs)
        fused = backend.fused_batch_norm()
        if (
            fused is None
            or data_format is None
            or mask is not None
            or self.renorm
            or (from_batch and self.synchronized)
        ):
            return super().call(inputs, training=training, mask=mask)
        mean, variance = (ops.cast(x, "float32") for x in (self.moving_mean, self.moving_variance))
        outputs, batch_mean, batch_variance = fused(
            ops.cast(inputs, "float32"),
            gamma=ops.ones_like(mean) if self.gamma is None else ops.cast(self.gamma, "float32"),
            beta=ops.zeros_like(mean) if self.beta is None else ops.cast(self.beta, "float32"),
            statistics=None if from_batch else (mean, variance),
            epsilon=self.epsilon,
            data_format=data_format,
        )
        if from_batch:
            rest = 1.0 - self.momentum
            self.moving_mean.assign(mean * self.momentum + batch_mean * rest)
            self.moving_variance.assign(variance * self.momentum + batch_variance * rest)
        return ops.cast(outputs, self.compute_dtype)

    def _image_format(self, inputs: Tensor) -> str | None:
        """The data format of an image in at most 32 bits."""
        if len(inputs.shape) != 4 or keras.backend.standardize_dtype(inputs.dtype) == "float64":
            return None
        return {3: "channels_last", 1: "channels_first"}.get(self.axis % 4)
