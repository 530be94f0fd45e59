"""keras.applications' ResNets.

Facts: `keras/src/applications/resnet.py` of Keras 3.15.1. Its networks take BGR less the mean of
each channel; the first kernel is turned here, so that ours take RGB. Its convolutions have biases,
which the BatchNormalization behind each takes off with its mean, and its epsilon is 1.001e-5 where
ours is 1e-5, which its variance makes good: the numbers are the same.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from keras_attn.weights.metadata import Metadata, RemoteFile
from keras_attn.weights.naming import Table
from keras_attn.weights.sources.weight_set import WeightSet

if TYPE_CHECKING:
    import numpy as np

_MORE_EPSILON = 1.001e-5 - 1e-5
_PLACES = (
    # our convolution and BatchNormalization, theirs
    ("stem_conv", "stem_bn", "conv1"),
    ("stage{s}_block{b}_conv{c}", "stage{s}_block{b}_bn{c}", "conv{s+1}_block{b}_{c}"),
    (
        "stage{s}_block{b}_projection",
        "stage{s}_block{b}_projection_bn",
        "conv{s+1}_block{b}_0",
    ),
)


def _turned(kernel: np.ndarray) -> np.ndarray:
    """From BGR to RGB."""
    return kernel[:, :, ::-1]


def _variance(variance: np.ndarray) -> np.ndarray:
    return variance + _MORE_EPSILON


RESNET = Table(
    "keras.applications' ResNet",
    (
        ("stem_conv/kernel", "conv1_conv/kernel", _turned),
        *((conv, f"{theirs}_conv") for conv, _, theirs in _PLACES[1:]),
        *(
            (f"{bn}/moving_mean", (f"{theirs}_bn/moving_mean", f"{theirs}_conv/bias"), operator.sub)
            for _, bn, theirs in _PLACES
        ),
        *(
            (f"{bn}/moving_variance", f"{theirs}_bn/moving_variance", _variance)
            for _, bn, theirs in _PLACES
        ),
        *((bn, f"{theirs}_bn") for _, bn, theirs in _PLACES),
        ("predictions", "predictions"),
    ),
    marks=("conv1_conv/kernel", "conv2_block1_1_conv/kernel", "conv2_block1_1_conv/bias"),
    layout="keras",
    ignored="$^",
)

_FOLDER = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
SETS = tuple(
    WeightSet(
        Metadata(
            f"keras/resnet{depth}",
            f"ResNet{depth}",
            "keras.applications",
            range=(0.0, 255.0),
            mean=(123.68, 116.779, 103.939),
            std=(1.0, 1.0, 1.0),
            interpolation="",
            crop=1.0,
            sha256=f"md5:{md5}",
            note="Keras publishes the md5 of the file, and neither a licence of the weights nor "
            "how images are resized. Its own networks take BGR; here it is RGB.",
        ),
        RESNET,
        RemoteFile(
            f"{_FOLDER}resnet{depth}_weights_tf_dim_ordering_tf_kernels.h5", sha256=f"md5:{md5}"
        ),
        {"geometry": "keras"},
        is_default=True,
    )
    for depth, md5 in (
        (50, "2cb95161c43110f7111970584f804107"),
        (101, "f1aeb4b969a6efcfb50fad2f0c20cfc5"),
        (152, "100835be76be38e30d865e96f2aaae62"),
    )
)
NAMINGS = (RESNET,)
