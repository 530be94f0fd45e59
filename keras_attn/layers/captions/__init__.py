"""Attention that goes from place to place while a sentence is written."""

from keras_attn.layers.captions.additive_spatial_attention import (
    AdditiveSpatialAttention as AdditiveSpatialAttention,
)
from keras_attn.layers.captions.caption_decoder import CaptionDecoder as CaptionDecoder
from keras_attn.layers.captions.caption_search import CaptionSearch as CaptionSearch
