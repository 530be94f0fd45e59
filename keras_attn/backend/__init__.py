"""What a backend has beyond `keras.ops`: a file for each; only that of the running one is imported.

A layer asks for an operation here, and does without where it is `None`.
"""

from collections.abc import Callable

import keras

batch_norm: Callable | None = None

if keras.backend.backend() == "tensorflow":
    from keras_attn.backend import tensorflow

    batch_norm = tensorflow.batch_norm
