"""Attention layers for vision, one paper's concept a file."""

from keras_attn.layers.attention_module import AttentionModule as AttentionModule
from keras_attn.layers.augmented_conv2d import AugmentedConv2D as AugmentedConv2D
from keras_attn.layers.augmented_conv2d import depths_from_ratios as depths_from_ratios
from keras_attn.layers.bam import BAM as BAM
from keras_attn.layers.batch_normalization import BatchNormalization as BatchNormalization
from keras_attn.layers.bottleneck_self_attention_2d import (
    BottleneckSelfAttention2D as BottleneckSelfAttention2D,
)
from keras_attn.layers.cbam import CBAM as CBAM
from keras_attn.layers.cbam import ChannelGate as ChannelGate
from keras_attn.layers.cbam import SpatialGate as SpatialGate
from keras_attn.layers.ceil_max_pooling2d import CeilMaxPooling2D as CeilMaxPooling2D
from keras_attn.layers.channel_shuffle_2d import ChannelShuffle2D as ChannelShuffle2D
from keras_attn.layers.coord_conv2d import AddCoordinates as AddCoordinates
from keras_attn.layers.coord_conv2d import CoordConv2D as CoordConv2D
from keras_attn.layers.coordinate_attention import CoordinateAttention as CoordinateAttention
from keras_attn.layers.efficient_channel_attention import (
    EfficientChannelAttention as EfficientChannelAttention,
)
from keras_attn.layers.gather_excite import GatherExcite as GatherExcite
from keras_attn.layers.global_context import GlobalContext as GlobalContext
from keras_attn.layers.grouped_conv2d import GroupedConv2D as GroupedConv2D
from keras_attn.layers.halo_attention_2d import HaloAttention2D as HaloAttention2D
from keras_attn.layers.inception_unit import InceptionResNetUnit as InceptionResNetUnit
from keras_attn.layers.non_local_2d import NonLocal2D as NonLocal2D
from keras_attn.layers.relative_positions import stretch_relative_table as stretch_relative_table
from keras_attn.layers.residual_units import PreActivationBottleneck as PreActivationBottleneck
from keras_attn.layers.residual_units import ResNeXtBottleneck as ResNeXtBottleneck
from keras_attn.layers.selective_kernel import SelectiveKernel as SelectiveKernel
from keras_attn.layers.self_attention_2d import SelfAttention2D as SelfAttention2D
from keras_attn.layers.sinusoidal_position_encoding_2d import (
    SinusoidalPositionEncoding2D as SinusoidalPositionEncoding2D,
)
from keras_attn.layers.spatial_channel_squeeze_excite import (
    SpatialChannelSqueezeExcite as SpatialChannelSqueezeExcite,
)
from keras_attn.layers.squeeze_excite import SqueezeExcite as SqueezeExcite
from keras_attn.layers.zero_padding_shortcut2d import (
    ZeroPaddingShortcut2D as ZeroPaddingShortcut2D,
)
