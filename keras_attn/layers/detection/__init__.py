"""From what a detector says of its anchors to boxes."""

from keras_attn.layers.detection.box_decoder import BoxDecoder as BoxDecoder
