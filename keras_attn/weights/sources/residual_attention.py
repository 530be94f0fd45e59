"""ResidualAttention56, trained by phamquiluan in the network of pytorchcv.

Facts: github.com/phamquiluan/ResidualAttentionNetwork (README.md: accuracies; resattnet56.py: the
address), whose network is pytorchcv's `resattnet56`. There the mask's pools are padded, and to an
upsampled map is added the tensor whose size it takes, besides that tensor's skip unit; the
constructor's `geometry="pytorchcv"` is that network.
"""

from __future__ import annotations

from keras_attn.weights.metadata import Metadata, RemoteFile
from keras_attn.weights.naming import Table, nested
from keras_attn.weights.sources.weight_set import WeightSet

_UNIT = tuple(
    line
    for i in (1, 2, 3)
    for line in ((f"bn{i}", f"body.conv{i}.bn"), (f"conv{i}", f"body.conv{i}.conv"))
) + (("projection", "identity_conv"),)
# The attention module stands behind the first unit of a stage: unit{m+1}.
_MODULE = "features.stage{s}.unit{m+1}"
_OURS = "stage{s}_attention{m}"


def _places(depth: int) -> tuple[tuple[str, str], ...]:
    """The units of a module whose mask goes down so often: one each, level by level."""
    stage = str(4 - depth)
    ours, theirs = f"{_OURS}/mask_", f"{_MODULE}.hg."
    unit = ".res_blocks.blocks.block1"
    places = [
        (f"{ours}bottom_unit1", f"{theirs}down_seq.down{depth}{unit}"),
        (f"{ours}bottom_unit2", f"{theirs}up_seq.up{depth}{unit}"),
    ]
    for i in range(1, depth):
        places += [
            (f"{ours}down{i}_unit1", f"{theirs}down_seq.down{i}{unit}"),
            (f"{ours}skip{i}_unit1", f"{theirs}skip_seq.skip{i + 1}.skip1"),
            (f"{ours}up{i}_unit1", f"{theirs}up_seq.up{i}{unit}"),
        ]
    return tuple((a.replace("{s}", stage), b.replace("{s}", stage)) for a, b in places)


_MASKS = (*_places(3), *_places(2), *_places(1))
PYTORCHCV = Table(
    "pytorchcv's resattnet",
    (
        ("stem_conv", "features.init_block.conv.conv"),
        ("stem_bn", "features.init_block.conv.bn"),
        *nested((("stage{s}_unit{u}", "features.stage{s}.unit{u}"), *_MASKS), _UNIT),
        *nested(
            (
                (f"{_OURS}/pre_unit{{u}}", f"{_MODULE}.init_blocks.blocks.block{{u}}"),
                (f"{_OURS}/trunk_unit{{u}}", f"{_MODULE}.hg.skip_seq.skip1.blocks.block{{u}}"),
                (f"{_OURS}/post_unit1", f"{_MODULE}.final_block"),
            ),
            _UNIT,
        ),
        (f"{_OURS}/mask_bn{{c}}", f"{_MODULE}.middle_block.conv{{c}}.bn"),
        (f"{_OURS}/mask_conv{{c}}", f"{_MODULE}.middle_block.conv{{c}}.conv"),
        ("final_bn", "features.post_activ.bn"),
        ("predictions", "output"),
    ),
    marks=("features.init_block.conv.conv.weight",),
)

SETS = (
    WeightSet(
        Metadata(
            "phamquiluan/resattnet56",
            "ResidualAttention56",
            "github.com/phamquiluan/ResidualAttentionNetwork",
            "",
            77.024,
            "ImageNet-1k, validation, 224x224 of 256",
            note="The repository states no licence. Its network adds, in the mask, the tensor "
            "whose size an upsampled map takes.",
        ),
        PYTORCHCV,
        RemoteFile(
            "https://github.com/phamquiluan/ResidualAttentionNetwork/releases/download/v0.1.0/"
            "resattnet56.pth"
        ),
        {"geometry": "pytorchcv"},
        is_default=True,
    ),
)
NAMINGS = (PYTORCHCV,)
