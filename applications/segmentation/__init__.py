"""Networks that say what each pixel shows, on any network's features."""

from keras_attn.applications.segmentation.danet import DANet as DANet
from keras_attn.applications.segmentation.deeplab import DeepLabV3 as DeepLabV3
from keras_attn.applications.segmentation.fcn import FCN as FCN
from keras_attn.applications.segmentation.resizing import ResizeBy as ResizeBy
from keras_attn.applications.segmentation.resizing import ResizeLike as ResizeLike
from keras_attn.applications.segmentation.scale_aware import (
    ScaleAwareSegmentation as ScaleAwareSegmentation,
)
from keras_attn.applications.segmentation.scale_aware import ScaleSegmenter as ScaleSegmenter
from keras_attn.applications.segmentation.two_depth import TwoDepthFCN as TwoDepthFCN
from keras_attn.applications.segmentation.two_depth import TwoDepthSegmenter as TwoDepthSegmenter
