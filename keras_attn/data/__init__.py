"""Labelled images: where they lie, how they are varied, and the batches made of them."""

from keras_attn.data.by_name import load_dataset as load_dataset
from keras_attn.data.image_dataset import ImageDataset as ImageDataset
