"""Batches, for TensorFlow and for any backend: which images, in which order."""
