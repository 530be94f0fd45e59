"""Attention layers for vision, one paper's concept a file."""

from keras_attn.layers.building_blocks.batch_normalization import (
    BatchNormalization as BatchNormalization,
)
from keras_attn.layers.building_blocks.ceil_max_pooling2d import (
    CeilMaxPooling2D as CeilMaxPooling2D,
)
from keras_attn.layers.building_blocks.channel_shuffle_2d import (
    ChannelShuffle2D as ChannelShuffle2D,
)
from keras_attn.layers.building_blocks.coord_conv2d import AddCoordinates as AddCoordinates
from keras_attn.layers.building_blocks.coord_conv2d import CoordConv2D as CoordConv2D
from keras_attn.layers.building_blocks.grouped_conv2d import GroupedConv2D as GroupedConv2D
from keras_attn.layers.building_blocks.sinusoidal_position_encoding_2d import (
    SinusoidalPositionEncoding2D as SinusoidalPositionEncoding2D,
)
from keras_attn.layers.building_blocks.zero_padding_shortcut2d import (
    ZeroPaddingShortcut2D as ZeroPaddingShortcut2D,
)
from keras_attn.layers.captions.additive_spatial_attention import (
    AdditiveSpatialAttention as AdditiveSpatialAttention,
)
from keras_attn.layers.captions.caption_decoder import CaptionDecoder as CaptionDecoder
from keras_attn.layers.captions.caption_search import CaptionSearch as CaptionSearch
from keras_attn.layers.contract import attention_by_channel as attention_by_channel
from keras_attn.layers.contract import attention_by_place as attention_by_place
from keras_attn.layers.contract import attention_form as attention_form
from keras_attn.layers.contract import attention_layers as attention_layers
from keras_attn.layers.contract import attention_start as attention_start
from keras_attn.layers.detection import BoxDecoder as BoxDecoder
from keras_attn.layers.gates.branch.pyramid_squeeze_attention import (
    PyramidSqueezeAttention as PyramidSqueezeAttention,
)
from keras_attn.layers.gates.branch.selective_kernel import SelectiveKernel as SelectiveKernel
from keras_attn.layers.gates.branch.split_attention import SplitAttention as SplitAttention
from keras_attn.layers.gates.channel.effective_se import EffectiveSE as EffectiveSE
from keras_attn.layers.gates.channel.efficient_channel_attention import (
    EfficientChannelAttention as EfficientChannelAttention,
)
from keras_attn.layers.gates.channel.gated_channel_transformation import (
    GatedChannelTransformation as GatedChannelTransformation,
)
from keras_attn.layers.gates.channel.global_response_normalization import (
    GlobalResponseNormalization as GlobalResponseNormalization,
)
from keras_attn.layers.gates.channel.squeeze_excite import SqueezeExcite as SqueezeExcite
from keras_attn.layers.gates.channel.style_recalibration import (
    StyleRecalibration as StyleRecalibration,
)
from keras_attn.layers.gates.channel_spatial.bam import BAM as BAM
from keras_attn.layers.gates.channel_spatial.cbam import CBAM as CBAM
from keras_attn.layers.gates.channel_spatial.cbam import ChannelGate as ChannelGate
from keras_attn.layers.gates.channel_spatial.cbam import SpatialGate as SpatialGate
from keras_attn.layers.gates.channel_spatial.light_cbam import LightCBAM as LightCBAM
from keras_attn.layers.gates.channel_spatial.polarized_self_attention import (
    PolarizedSelfAttention as PolarizedSelfAttention,
)
from keras_attn.layers.gates.channel_spatial.shuffle_attention import (
    ShuffleAttention as ShuffleAttention,
)
from keras_attn.layers.gates.channel_spatial.simam import SimAM as SimAM
from keras_attn.layers.gates.channel_spatial.spatial_channel_squeeze_excite import (
    SpatialChannelSqueezeExcite as SpatialChannelSqueezeExcite,
)
from keras_attn.layers.gates.channel_spatial.triplet_attention import (
    TripletAttention as TripletAttention,
)
from keras_attn.layers.gates.spatial.class_specific_residual_attention import (
    ClassSpecificResidualAttention as ClassSpecificResidualAttention,
)
from keras_attn.layers.gates.spatial.efficient_multi_scale_attention import (
    EfficientMultiScaleAttention as EfficientMultiScaleAttention,
)
from keras_attn.layers.gates.spatial.gather_excite import GatherExcite as GatherExcite
from keras_attn.layers.gates.spatial.global_context import GlobalContext as GlobalContext
from keras_attn.layers.gates.spatial.large_separable_kernel_attention import (
    LargeSeparableKernelAttention as LargeSeparableKernelAttention,
)
from keras_attn.layers.gates.spatial.spatial_group_enhance import (
    SpatialGroupEnhance as SpatialGroupEnhance,
)
from keras_attn.layers.gates.strips.coordinate_attention import (
    CoordinateAttention as CoordinateAttention,
)
from keras_attn.layers.gates.strips.efficient_local_attention import (
    EfficientLocalAttention as EfficientLocalAttention,
)
from keras_attn.layers.gates.strips.simple_coordinate_attention import (
    SimpleCoordinateAttention as SimpleCoordinateAttention,
)
from keras_attn.layers.gates.strips.strip_attention import StripAttention as StripAttention
from keras_attn.layers.glimpses.attention_proposal import AttentionProposal as AttentionProposal
from keras_attn.layers.glimpses.attention_zoom import AttentionZoom as AttentionZoom
from keras_attn.layers.glimpses.box_crop2d import BoxCrop2D as BoxCrop2D
from keras_attn.layers.glimpses.glimpse_sensor import GlimpseSensor as GlimpseSensor
from keras_attn.layers.glimpses.recurrent_glimpses import RecurrentGlimpses as RecurrentGlimpses
from keras_attn.layers.residual_attention.attention_module import AttentionModule as AttentionModule
from keras_attn.layers.residual_attention.inception_unit import (
    InceptionResNetUnit as InceptionResNetUnit,
)
from keras_attn.layers.residual_attention.residual_units import (
    PreActivationBottleneck as PreActivationBottleneck,
)
from keras_attn.layers.residual_attention.residual_units import (
    ResNeXtBottleneck as ResNeXtBottleneck,
)
from keras_attn.layers.segmentation.attention_gate import AttentionGate as AttentionGate
from keras_attn.layers.segmentation.mask_head import MaskHead as MaskHead
from keras_attn.layers.segmentation.mask_head import select_class as select_class
from keras_attn.layers.segmentation.scale_attention import ScaleAttention as ScaleAttention
from keras_attn.layers.self_attention.augmented_conv2d import AugmentedConv2D as AugmentedConv2D
from keras_attn.layers.self_attention.augmented_conv2d import (
    depths_from_ratios as depths_from_ratios,
)
from keras_attn.layers.self_attention.bottleneck_self_attention_2d import (
    BottleneckSelfAttention2D as BottleneckSelfAttention2D,
)
from keras_attn.layers.self_attention.dual.channel_attention import (
    ChannelAttention as ChannelAttention,
)
from keras_attn.layers.self_attention.dual.position_attention import (
    PositionAttention as PositionAttention,
)
from keras_attn.layers.self_attention.efficient.axial_attention import (
    AxialAttention as AxialAttention,
)
from keras_attn.layers.self_attention.efficient.bilinear_attention import (
    BilinearAttention as BilinearAttention,
)
from keras_attn.layers.self_attention.efficient.criss_cross_attention import (
    CrissCrossAttention as CrissCrossAttention,
)
from keras_attn.layers.self_attention.efficient.double_attention import (
    DoubleAttention as DoubleAttention,
)
from keras_attn.layers.self_attention.efficient.lambda_layer import LambdaLayer as LambdaLayer
from keras_attn.layers.self_attention.local.contextual_transformer import (
    ContextualTransformer as ContextualTransformer,
)
from keras_attn.layers.self_attention.local.halo_attention_2d import (
    HaloAttention2D as HaloAttention2D,
)
from keras_attn.layers.self_attention.local.outlook_attention import (
    OutlookAttention as OutlookAttention,
)
from keras_attn.layers.self_attention.non_local_2d import NonLocal2D as NonLocal2D
from keras_attn.layers.self_attention.relative_positions import (
    stretch_relative_table as stretch_relative_table,
)
from keras_attn.layers.self_attention.self_attention_2d import SelfAttention2D as SelfAttention2D
