"""Residual Attention Networks (Wang et al., CVPR 2017): for ImageNet, and for CIFAR."""

from keras_attn.applications.residual_attention.cifar import (
    ResidualAttentionCIFAR as ResidualAttentionCIFAR,
)
from keras_attn.applications.residual_attention.imagenet import (
    ResidualAttention56 as ResidualAttention56,
)
from keras_attn.applications.residual_attention.imagenet import (
    ResidualAttention92 as ResidualAttention92,
)
from keras_attn.applications.residual_attention.imagenet import (
    ResidualAttentionInception56 as ResidualAttentionInception56,
)
from keras_attn.applications.residual_attention.imagenet import (
    ResidualAttentionNeXt56 as ResidualAttentionNeXt56,
)
from keras_attn.applications.residual_attention.imagenet import (
    ResidualAttentionNeXt92 as ResidualAttentionNeXt92,
)
from keras_attn.applications.residual_attention.imagenet import (
    decode_predictions as decode_predictions,
)
from keras_attn.applications.residual_attention.imagenet import preprocess_input as preprocess_input
