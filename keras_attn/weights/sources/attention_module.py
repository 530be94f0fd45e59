"""ResNet-50 with CBAM and with BAM, as their authors trained them.

Facts: github.com/Jongchan/attention-module, `MODELS/*.py` and README.md, which has the accuracies
and links to Google Drive; a program can't fetch from there. The checkpoints are DataParallel's.
The reading of their names was tried on random states of that code, and not on the files.
"""

from __future__ import annotations

from keras_attn.weights.metadata import Metadata, RemoteFile
from keras_attn.weights.naming import Table, nested
from keras_attn.weights.sources.weight_set import WeightSet

_CBAM = "stage{s}_block{b}_cbam"
_BAM = (
    ("channel_reduce", "channel_att.gate_c.gate_c_fc_0"),
    ("channel_bn", "channel_att.gate_c.gate_c_bn_1"),
    ("channel_expand", "channel_att.gate_c.gate_c_fc_final"),
    ("spatial_reduce", "spatial_att.gate_s.gate_s_conv_reduce0"),
    ("spatial_reduce_bn", "spatial_att.gate_s.gate_s_bn_reduce0"),
    ("spatial_conv1", "spatial_att.gate_s.gate_s_conv_di_0"),
    ("spatial_bn1", "spatial_att.gate_s.gate_s_bn_di_0"),
    ("spatial_conv2", "spatial_att.gate_s.gate_s_conv_di_1"),
    ("spatial_bn2", "spatial_att.gate_s.gate_s_bn_di_1"),
    ("spatial_logit", "spatial_att.gate_s.gate_s_conv_final"),
)
_RESNET = (
    ("stem_conv", "conv1"),
    ("stem_bn", "bn1"),
    ("stage{s}_block{b}_conv{c}", "layer{s}.{b-1}.conv{c}"),
    ("stage{s}_block{b}_bn{c}", "layer{s}.{b-1}.bn{c}"),
    ("stage{s}_block{b}_projection", "layer{s}.{b-1}.downsample.0"),
    ("stage{s}_block{b}_projection_bn", "layer{s}.{b-1}.downsample.1"),
    ("predictions", "fc"),
)
CBAM = Table(
    "the CBAM authors' ResNet",
    (
        *_RESNET,
        (f"{_CBAM}/channel_gate/reduce", "layer{s}.{b-1}.cbam.ChannelGate.mlp.1"),
        (f"{_CBAM}/channel_gate/expand", "layer{s}.{b-1}.cbam.ChannelGate.mlp.3"),
        (f"{_CBAM}/spatial_gate/conv", "layer{s}.{b-1}.cbam.SpatialGate.spatial.conv"),
        (f"{_CBAM}/spatial_gate/bn", "layer{s}.{b-1}.cbam.SpatialGate.spatial.bn"),
    ),
    marks=("layer1.0.cbam.ChannelGate.mlp.1.weight",),
)
BAM = Table(
    "the BAM authors' ResNet",
    (*_RESNET, *nested((("stage{s}_block{b}_bam", "bam{s}"),), _BAM)),
    marks=("bam1.channel_att.gate_c.gate_c_fc_0.weight",),
)


def _set(name: str, constructor: str, naming: Table, top1: float, drive: str) -> WeightSet:
    file = RemoteFile(f"https://drive.google.com/file/d/{drive}/view", by_hand=True)
    metadata = Metadata(
        f"attention-module/{name}",
        constructor,
        "its authors, github.com/Jongchan/attention-module",
        "MIT",
        top1,
        "ImageNet-1k, validation, 224x224",
    )
    arguments = {"geometry": "torchvision"}
    if naming is BAM:
        arguments["combine"] = "product"  # the paper adds, the code multiplies
    return WeightSet(metadata, naming, file, arguments, is_default=True)


SETS = (
    _set("resnet50_cbam", "CBAMResNet50", CBAM, 77.622, "1mvAVvhLR_2XY_bPYxh-SEz4vDmGzSArO"),
    _set("resnet50_bam", "BAMResNet50", BAM, 76.860, "1auVf70gfL0ol40bvaX5rlbpn9cKIxhAL"),
)
NAMINGS = (CBAM, BAM)
