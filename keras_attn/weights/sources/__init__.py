"""The sources of weights: a file each, which is a table of names and a table of sets.

How to add one, or a family of a source: a `Table` says what the source calls each of our weights
(see `keras_attn.weights.naming`), and a `WeightSet` for each file says what belongs to it, where
it is, and with which arguments of the constructor it was trained. The lists below have them all.
`tests/golden/make_weights.py` runs the source's own package with random weights, and
`tests/weights/test_parity.py` compares the logits.
"""

from __future__ import annotations

from keras_attn.weights.naming import Naming
from keras_attn.weights.sources import (
    attention_module,
    image_classifiers,
    keras_applications,
    residual_attention,
    timm,
    timm_names,
    timm_resnet,
)
from keras_attn.weights.sources.cifar10 import cifar10_sets as cifar10_sets
from keras_attn.weights.sources.weight_set import WeightSet as WeightSet

_SOURCES = (
    timm,
    timm_resnet,
    keras_applications,
    image_classifiers,
    attention_module,
    residual_attention,
)

SETS: tuple[WeightSet, ...] = (
    *(each for source in _SOURCES for each in source.SETS),
    *cifar10_sets(),
)
# In the order in which a file's names are compared with their marks.
NAMINGS: tuple[Naming, ...] = (
    *attention_module.NAMINGS,
    *residual_attention.NAMINGS,
    *timm_names.NAMINGS,
    *keras_applications.NAMINGS,
    *image_classifiers.NAMINGS,
)
