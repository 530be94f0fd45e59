"""SE-ShuffleNet: counts, the shuffle, the pools of its units, and what every network must do."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.network_checks import NetworkChecks, count_trainable, image
from keras_attn.applications import SEShuffleNet
from keras_attn.applications.mobile import shufflenet
from keras_attn.layers import ChannelShuffle2D, GroupedConv2D, SqueezeExcite


@pytest.mark.thorough
class TestSEShuffleNet(NetworkChecks):
    make = staticmethod(SEShuffleNet)
    slim = {(shufflenet, "STAGES"): {2: (120, 2), 3: (240, 2), 4: (480, 2)}}
    channels = 480


def test_parameters(built):
    squeezed, plain = built("SEShuffleNet"), built("SEShuffleNet", attention=None)
    assert count_trainable(plain) == 1_865_728  # 1.9M in the authors' README, 1.8M in Hu et al.
    assert count_trainable(squeezed) - count_trainable(plain) == 618_805  # 2.4M in Hu et al.
    assert plain.name == "shufflenet"


def test_the_number_in_the_docstring_of_the_other_place():
    """Behind the sums and concatenations, at r = 16 with biases."""
    filters = [240] * 4 + [480] * 8 + [960] * 4
    assert sum(2 * c * (c // 16) + c + c // 16 for c in filters) == 729_180


def test_units(built):
    model = built("SEShuffleNet")
    shuffles = [layer for layer in model.layers if isinstance(layer, ChannelShuffle2D)]
    assert [shuffle.input.shape[-1] for shuffle in shuffles] == [60] * 4 + [120] * 8 + [240] * 4
    assert [layer.filters for layer in model.layers if layer.name.endswith("block1_conv3")] == [
        240 - 24,
        480 - 240,
        960 - 480,
    ]
    grouped = [layer for layer in model.layers if isinstance(layer, GroupedConv2D)]
    assert len(grouped) == 2 * 16 - 1 and {layer.groups for layer in grouped} == {3}
    gates = [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]
    assert [gate.input._keras_history.operation.name for gate in gates] == [
        gate.name.replace("_se", "_bn3") for gate in gates
    ]


def test_shortcuts_average_counts_the_padding(monkeypatch):
    monkeypatch.setattr(shufflenet, "STAGES", {2: (240, 1)})
    model = SEShuffleNet(input_shape=(None, None, 3), include_top=False)
    before = model.get_layer("stage2_block1_shortcut_pad").input
    after = model.get_layer("stage2_block1_shortcut_pool").output
    x, y = keras.Model(model.input, [before, after])(image(1, 20, 28, 3))
    x, y = x.numpy(), y.numpy()
    assert (x.shape, y.shape) == ((1, 5, 7, 24), (1, 3, 4, 24))
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    windows = [padded[:, i : i + 5 : 2, j : j + 7 : 2] for i in range(3) for j in range(3)]
    assert_close(y, sum(windows) / 9)


@pytest.mark.parametrize("groups", [1, 2, 3, 6, 12])
def test_shuffle_against_its_definition(groups):
    x = image(2, 3, 5, 12)
    expected = np.empty_like(x)
    size = 12 // groups
    for j in range(groups):
        for i in range(size):
            expected[..., i * groups + j] = x[..., j * size + i]
    np.testing.assert_array_equal(ChannelShuffle2D(groups)(x), expected)
    first = ChannelShuffle2D(groups, data_format="channels_first")(x.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(np.transpose(first, (0, 2, 3, 1)), expected)


@pytest.mark.parametrize(
    "groups, channels, message",
    [
        (0, 12, "`groups` must be a positive integer. Received: groups=0"),
        (2.0, 12, "`groups` must be a positive integer. Received: groups=2.0"),
        (5, 12, "`groups` must divide the number of input channels. Received: groups=5"),
    ],
)
def test_wrong_groups(groups, channels, message):
    with pytest.raises(ValueError) as error:
        ChannelShuffle2D(groups)(image(1, 2, 2, channels))
    assert message in str(error.value)
