"""ResNets with CBAM, BAM, Gather-Excite, ECA, Global Context or Selective Kernels."""

from keras_attn.applications.attention_resnet.bam import BAMResNet18 as BAMResNet18
from keras_attn.applications.attention_resnet.bam import BAMResNet34 as BAMResNet34
from keras_attn.applications.attention_resnet.bam import BAMResNet50 as BAMResNet50
from keras_attn.applications.attention_resnet.bam import BAMResNet101 as BAMResNet101
from keras_attn.applications.attention_resnet.cbam import CBAMResNet18 as CBAMResNet18
from keras_attn.applications.attention_resnet.cbam import CBAMResNet34 as CBAMResNet34
from keras_attn.applications.attention_resnet.cbam import CBAMResNet50 as CBAMResNet50
from keras_attn.applications.attention_resnet.cbam import CBAMResNet101 as CBAMResNet101
from keras_attn.applications.attention_resnet.eca import ECAResNet50 as ECAResNet50
from keras_attn.applications.attention_resnet.gather_excite import GEResNet50 as GEResNet50
from keras_attn.applications.attention_resnet.global_context import GCResNet50 as GCResNet50
from keras_attn.applications.attention_resnet.selective_kernel import SKResNet50 as SKResNet50
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
