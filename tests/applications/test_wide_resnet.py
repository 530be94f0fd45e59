"""Wide-ResNet-28-10, plain and augmented: counts, shortcuts, and what every network must do."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.network_checks import NetworkChecks, count_trainable, image
from keras_attn.applications import AAWideResNet28x10, WideResNet28x10, wide_resnet
from keras_attn.layers import AugmentedConv2D


@pytest.mark.thorough
class TestAAWideResNet(NetworkChecks):
    make = staticmethod(AAWideResNet28x10)
    slim = {(wide_resnet, "BLOCKS"): 2, (wide_resnet, "FILTERS"): (80, 112, 160)}
    small = 8
    odd = (11, 8)
    channels = 160
    strides = {"P0": 1, "P1": 2, "P2": 4}


def test_known_and_unknown_sizes_agree(built):
    """The tables of positions are those of 32x32 then."""
    known = built("AAWideResNet28x10")
    unknown = built("AAWideResNet28x10", input_shape=(None, None, 3))
    assert [w.shape for w in known.weights] == [w.shape for w in unknown.weights]


def test_parameters(built):
    assert count_trainable(built("AAWideResNet28x10")) == 36_054_100
    assert count_trainable(built("WideResNet28x10")) == 36_278_324


def test_augmented_convolutions(built):
    model = built("AAWideResNet28x10")
    augmented = [layer for layer in model.layers if isinstance(layer, AugmentedConv2D)]
    assert [layer.name for layer in augmented] == [
        f"stage{stage}_block{block}_conv1" for stage in (1, 2, 3) for block in (1, 2, 3, 4)
    ]
    assert [layer.value_depth for layer in augmented] == [16] * 4 + [32] * 4 + [64] * 4
    assert {layer.key_depth for layer in augmented} == {160}
    assert {layer.num_heads for layer in augmented} == {8}
    assert {layer.attention_strides for layer in augmented} == {(1, 1)}
    assert [layer.attention.relative_width.shape[0] for layer in augmented] == (
        [63] * 4 + [31] * 4 + [15] * 4
    )


def test_attention_none_is_the_baseline(built):
    model, baseline = built("AAWideResNet28x10", attention=None), built("WideResNet28x10")
    assert model.name == baseline.name == "wide_resnet28x10"
    assert [w.path for w in model.weights] == [w.path for w in baseline.weights]


def test_shortcuts_average_and_pad_with_zeros(monkeypatch):
    """With no branches, only the stem and the shortcuts are left."""
    monkeypatch.setattr(wide_resnet, "BLOCKS", 2)
    model = WideResNet28x10(include_top=False, input_shape=(None, None, 3))
    for layer in model.layers:
        if layer.name.endswith("_conv2"):
            layer.kernel.assign(np.zeros(layer.kernel.shape, "float32"))
    x = image(2, 12, 8, 3)
    stem = np.maximum(model.get_layer("stem_conv")(x).numpy() / np.sqrt(1 + 1e-5), 0)
    means = stem.reshape(2, 3, 4, 2, 4, 16).mean(axis=(2, 4)) / np.sqrt(1 + 1e-5)
    y = model(x).numpy()
    assert_close(y[..., :16], means)
    assert (y[..., 16:] == 0).all()


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"attention": "se"}, "`attention` must be one of None, 'aa'. Received: attention='se'"),
        ({"kappa": 0}, "`kappa` must be in (0, 1]. Received: kappa=0"),
        ({"upsilon": 2}, "`upsilon` must be in [0, 1]. Received: upsilon=2"),
        ({"num_heads": 0}, "`num_heads` must be a positive integer. Received: num_heads=0"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        AAWideResNet28x10(**kwargs)
    assert message in str(error.value)
