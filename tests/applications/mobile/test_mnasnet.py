"""MnasNet, plain and augmented: the authors' counts, placement, and what every network must do."""

from __future__ import annotations

from functools import partial

import keras
import pytest

from helpers.network_checks import NetworkChecks, count_trainable
from keras_attn.applications import AAMnasNet
from keras_attn.applications.mobile import mnasnet
from keras_attn.layers import AugmentedConv2D, SqueezeExcite


@pytest.mark.thorough
class TestAAMnasNet(NetworkChecks):
    make = staticmethod(partial(AAMnasNet, 0.25))
    slim = {(mnasnet, "HEAD_FILTERS"): 320}
    channels = 320


def test_known_and_unknown_sizes_agree(built):
    """The tables of positions are those of 224x224 then."""
    known, unknown = built("AAMnasNet"), built("AAMnasNet", input_shape=(None, None, 3))
    assert [w.shape for w in known.weights] == [w.shape for w in unknown.weights]


@pytest.mark.parametrize(
    "width, plain, augmented",
    [
        (1.0, 3_887_038, 4_115_646),  # the authors' README: 3.9M
        pytest.param(1.4, 6_105_992, 6_485_958, marks=pytest.mark.slow),  # 6.1M
    ],
)
def test_parameters(width, plain, augmented, built):
    assert count_trainable(built("MnasNet", width)) == plain
    assert count_trainable(built("AAMnasNet", width)) == augmented


def test_attention_none_is_the_baseline(built):
    model, baseline = built("AAMnasNet", attention=None), built("MnasNet")
    assert model.name == baseline.name == "mnasnet_1.0"
    assert [w.path for w in model.weights] == [w.path for w in baseline.weights]


def test_the_last_13_expansions_are_augmented(built):
    model = built("AAMnasNet")
    augmented = [layer for layer in model.layers if isinstance(layer, AugmentedConv2D)]
    blocks = {3: 3, 4: 4, 5: 2, 6: 3, 7: 1}
    assert [layer.name for layer in augmented] == [
        f"stage{stage}_block{i + 1}_expand_conv" for stage in blocks for i in range(blocks[stage])
    ]
    assert [layer.attention_strides[0] for layer in augmented] == [2] * 3 + [1] * 10
    sides = [28, 14, 14, 28, 14, 14, 14, 14, 14, 14, 7, 7, 7]  # of the attention's maps
    assert [layer.attention.relative_height.shape[0] for layer in augmented] == [
        2 * side - 1 for side in sides
    ]
    assert [layer.filters for layer in augmented][:4] == [72, 120, 120, 240]
    assert [layer.value_depth for layer in augmented][:4] == [4, 4, 4, 12]
    assert [layer.key_depth for layer in augmented][-1] == 4 * (960 // 10 // 4)
    assert augmented[0].key_depth == 4 * 20


def test_blocks(built):
    model = built("MnasNet")
    adds = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert len(adds) == 1 + 2 + 3 + 1 + 2
    gates = [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]
    # A quarter of the block's input, not of the expansion that the gate scales.
    assert [gate.bottleneck_channels for gate in gates] == [6, 10, 10, 20, 28, 28, 40, 40]
    assert model.get_layer("stem_bn").epsilon == 1e-3
    assert model.get_layer("dropout").rate == 0.2


def test_width_scales_to_multiples_of_8(built):
    model = built("MnasNet", 0.75)
    assert model.get_layer("stem_conv").filters == 24
    # 18 would go to 16, which is more than 10% less: 24.
    assert model.get_layer("stage2_block1_project_conv").filters == 24
    assert model.get_layer("head_conv").filters == 1280


def test_no_values_is_no_attention(built):
    layer = built("AAMnasNet", upsilon=0).get_layer("stage7_block1_expand_conv")
    assert layer.value_depth == 0


@pytest.mark.parametrize(
    "args, kwargs, message",
    [
        ((0,), {}, "`width` must be a positive number. Received: width=0"),
        (("1.0",), {}, "`width` must be a positive number. Received: width='1.0'"),
        ((True,), {}, "`width` must be a positive number. Received: width=True"),
        ((), {"upsilon": -1}, "`upsilon` must be in [0, 1]. Received: upsilon=-1"),
    ],
)
def test_wrong_arguments(args, kwargs, message):
    with pytest.raises(ValueError) as error:
        AAMnasNet(*args, **kwargs)
    assert message in str(error.value)
