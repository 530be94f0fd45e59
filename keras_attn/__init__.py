"""Attention layers for vision in Keras 3.

Importing the package registers its layers, so that `keras.saving.load_model` finds them. Its other
rooms, such as `keras_attn.export`, are imported when they are asked for.
"""

from typing import TYPE_CHECKING

from keras_attn import _startup
from keras_attn._version import __version__ as __version__

if _startup.at_once(__name__) or TYPE_CHECKING:
    try:
        import keras as _keras  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "keras_attn needs Keras 3 with a backend. Install one: pip install "
            "'keras-attn[tensorflow]' (or jax, or torch, with KERAS_BACKEND set to it). "
            f"The import failed with: {error}"
        ) from error

    from keras_attn import applications as applications
    from keras_attn import insertion as insertion
    from keras_attn import layers as layers
    from keras_attn import losses as losses
    from keras_attn import weights as weights
    from keras_attn.insertion import fold_attention as fold_attention
    from keras_attn.insertion import insert_attention as insert_attention
    from keras_attn.insertion import remove_attention as remove_attention

    if TYPE_CHECKING:
        from keras_attn import classifiers as classifiers
        from keras_attn import cost as cost
        from keras_attn import data as data
        from keras_attn import explain as explain
        from keras_attn import export as export
        from keras_attn import finetune as finetune
        from keras_attn import images as images
        from keras_attn import kinds as kinds
        from keras_attn import report as report
        from keras_attn import serving as serving
        from keras_attn import training as training
    else:
        __getattr__, __dir__ = _startup.rooms(__name__)
else:
    __getattr__ = _startup.later(__name__)
