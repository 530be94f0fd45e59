"""Networks with attention, in constructors like those of keras.applications."""

from keras_attn.applications.cifar_resnet import CIFARResNet as CIFARResNet
from keras_attn.applications.construction import pyramid_outputs as pyramid_outputs
from keras_attn.applications.residual_attention_cifar import (
    ResidualAttentionCIFAR as ResidualAttentionCIFAR,
)
from keras_attn.applications.registry import MODELS as MODELS
from keras_attn.applications.registry import get_model as get_model
