"""timm's networks with attention that the other families have not."""

from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.applications.timm.resnet import TimmResNet as TimmResNet
from keras_attn.applications.timm.vovnet import VoVNet as VoVNet
