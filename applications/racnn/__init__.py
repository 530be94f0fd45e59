"""RA-CNN (Fu et al., CVPR 2017): looks closer at the part that it proposes, scale by scale."""

from keras_attn.applications.racnn.classifier import ScaleClassifier as ScaleClassifier
from keras_attn.applications.racnn.nested_boxes import NestedBoxes as NestedBoxes
from keras_attn.applications.racnn.network import RACNN as RACNN
