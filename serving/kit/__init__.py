"""The files that TensorFlow Serving is run with in production, filled in for a model."""

from keras_attn.serving.kit.kit import write_kit as write_kit
