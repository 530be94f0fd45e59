"""Labelled images: where they lie, how they are varied, and the batches made of them."""

from typing import TYPE_CHECKING

from keras_attn import _startup

if _startup.at_once(__name__) or TYPE_CHECKING:
    from keras_attn.data.by_name import load_dataset as load_dataset
    from keras_attn.data.image_dataset import ImageDataset as ImageDataset

    if TYPE_CHECKING:
        from keras_attn.data import synthetic as synthetic
    else:
        __getattr__, __dir__ = _startup.rooms(__name__)
else:
    __getattr__ = _startup.later(__name__)
