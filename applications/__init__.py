"""Networks with attention, in constructors like those of keras.applications."""

from typing import TYPE_CHECKING

from keras_attn import _startup

if _startup.at_once(__name__) or TYPE_CHECKING:
    from keras_attn.applications.aa_resnet import AAResNet34 as AAResNet34
    from keras_attn.applications.aa_resnet import AAResNet50 as AAResNet50
    from keras_attn.applications.aa_resnet import AAResNet101 as AAResNet101
    from keras_attn.applications.aa_resnet import AAResNet152 as AAResNet152
    from keras_attn.applications.attention_resnet import BAMResNet18 as BAMResNet18
    from keras_attn.applications.attention_resnet import BAMResNet34 as BAMResNet34
    from keras_attn.applications.attention_resnet import BAMResNet50 as BAMResNet50
    from keras_attn.applications.attention_resnet import BAMResNet101 as BAMResNet101
    from keras_attn.applications.attention_resnet import CBAMResNet18 as CBAMResNet18
    from keras_attn.applications.attention_resnet import CBAMResNet34 as CBAMResNet34
    from keras_attn.applications.attention_resnet import CBAMResNet50 as CBAMResNet50
    from keras_attn.applications.attention_resnet import CBAMResNet101 as CBAMResNet101
    from keras_attn.applications.attention_resnet import ECAResNet50 as ECAResNet50
    from keras_attn.applications.attention_resnet import GCResNet50 as GCResNet50
    from keras_attn.applications.attention_resnet import GEResNet50 as GEResNet50
    from keras_attn.applications.attention_resnet import SKResNet50 as SKResNet50
    from keras_attn.applications.bn_inception import SEBNInception as SEBNInception
    from keras_attn.applications.captions import Captioner as Captioner
    from keras_attn.applications.captions import ShowAttendTell as ShowAttendTell
    from keras_attn.applications.cifar_resnet import CIFARResNet as CIFARResNet
    from keras_attn.applications.common.construction import Backbone as Backbone
    from keras_attn.applications.common.construction import pyramid_outputs as pyramid_outputs
    from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
    from keras_attn.applications.common.registry import MODELS as MODELS
    from keras_attn.applications.common.registry import get_model as get_model
    from keras_attn.applications.detection import Detector as Detector
    from keras_attn.applications.detection import detector_of as detector_of
    from keras_attn.applications.mobile import AAMnasNet as AAMnasNet
    from keras_attn.applications.mobile import MnasNet as MnasNet
    from keras_attn.applications.mobile import SEMobileNet as SEMobileNet
    from keras_attn.applications.mobile import SEShuffleNet as SEShuffleNet
    from keras_attn.applications.racnn import RACNN as RACNN
    from keras_attn.applications.racnn import NestedBoxes as NestedBoxes
    from keras_attn.applications.racnn import ScaleClassifier as ScaleClassifier
    from keras_attn.applications.recurrent_attention import (
        DeepRecurrentAttention as DeepRecurrentAttention,
    )
    from keras_attn.applications.recurrent_attention import GlimpseClassifier as GlimpseClassifier
    from keras_attn.applications.recurrent_attention import RecurrentAttention as RecurrentAttention
    from keras_attn.applications.residual_attention import (
        ResidualAttention56 as ResidualAttention56,
    )
    from keras_attn.applications.residual_attention import (
        ResidualAttention92 as ResidualAttention92,
    )
    from keras_attn.applications.residual_attention import (
        ResidualAttentionCIFAR as ResidualAttentionCIFAR,
    )
    from keras_attn.applications.residual_attention import (
        ResidualAttentionInception56 as ResidualAttentionInception56,
    )
    from keras_attn.applications.residual_attention import (
        ResidualAttentionNeXt56 as ResidualAttentionNeXt56,
    )
    from keras_attn.applications.residual_attention import (
        ResidualAttentionNeXt92 as ResidualAttentionNeXt92,
    )
    from keras_attn.applications.resnet import ResNet18 as ResNet18
    from keras_attn.applications.resnet import ResNet34 as ResNet34
    from keras_attn.applications.resnet import ResNet50 as ResNet50
    from keras_attn.applications.resnet import ResNet101 as ResNet101
    from keras_attn.applications.resnet import ResNet152 as ResNet152
    from keras_attn.applications.se_resnet import SENet154 as SENet154
    from keras_attn.applications.se_resnet import SEResNet18 as SEResNet18
    from keras_attn.applications.se_resnet import SEResNet34 as SEResNet34
    from keras_attn.applications.se_resnet import SEResNet50 as SEResNet50
    from keras_attn.applications.se_resnet import SEResNet101 as SEResNet101
    from keras_attn.applications.se_resnet import SEResNet152 as SEResNet152
    from keras_attn.applications.se_resnet import SEResNeXt50 as SEResNeXt50
    from keras_attn.applications.se_resnet import SEResNeXt101 as SEResNeXt101
    from keras_attn.applications.segmentation import FCN as FCN
    from keras_attn.applications.segmentation import DANet as DANet
    from keras_attn.applications.segmentation import DeepLabV3 as DeepLabV3
    from keras_attn.applications.segmentation import ResizeBy as ResizeBy
    from keras_attn.applications.segmentation import ResizeLike as ResizeLike
    from keras_attn.applications.segmentation import (
        ScaleAwareSegmentation as ScaleAwareSegmentation,
    )
    from keras_attn.applications.segmentation import ScaleSegmenter as ScaleSegmenter
    from keras_attn.applications.segmentation import TwoDepthFCN as TwoDepthFCN
    from keras_attn.applications.segmentation import TwoDepthSegmenter as TwoDepthSegmenter
    from keras_attn.applications.timm import TimmResNet as TimmResNet
    from keras_attn.applications.timm import VoVNet as VoVNet
    from keras_attn.applications.wide_resnet import AAWideResNet28x10 as AAWideResNet28x10
    from keras_attn.applications.wide_resnet import WideResNet28x10 as WideResNet28x10
else:
    __getattr__ = _startup.later(__name__)
