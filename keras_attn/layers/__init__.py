"""Attention layers for vision, one paper's concept a file."""

from keras_attn.layers.attention_module import AttentionModule as AttentionModule
from keras_attn.layers.augmented_conv2d import AugmentedConv2D as AugmentedConv2D
from keras_attn.layers.augmented_conv2d import depths_from_ratios as depths_from_ratios
from keras_attn.layers.ceil_max_pooling2d import CeilMaxPooling2D as CeilMaxPooling2D
from keras_attn.layers.grouped_conv2d import GroupedConv2D as GroupedConv2D
from keras_attn.layers.residual_units import PreActivationBottleneck as PreActivationBottleneck
from keras_attn.layers.residual_units import ResNeXtBottleneck as ResNeXtBottleneck
from keras_attn.layers.self_attention_2d import SelfAttention2D as SelfAttention2D
from keras_attn.layers.self_attention_2d import stretch_relative_table as stretch_relative_table
from keras_attn.layers.squeeze_excite import SqueezeExcite as SqueezeExcite
from keras_attn.layers.zero_padding_shortcut2d import (
    ZeroPaddingShortcut2D as ZeroPaddingShortcut2D,
)
