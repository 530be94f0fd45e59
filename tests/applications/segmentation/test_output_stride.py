"""Dilated networks: the same weights, and at the places of the strided network the same numbers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.marks import rest_thorough
from helpers.network_checks import image
from keras_attn import applications
from keras_attn.applications import pyramid_outputs
from keras_attn.applications.common import residual_network


@pytest.fixture
def narrow(monkeypatch, few_blocks):
    """Networks of few filters, with two blocks in the stages that dilate."""
    monkeypatch.setattr(residual_network, "FILTERS", (64, 64, 64, 128))

    def make(name, **options):
        construct = getattr(applications, name)
        few_blocks(construct, (1, 1, 2, 2))
        options = {"include_top": False, "input_shape": (None, None, 3), **options}
        return construct(**options)

    return make


def randomized(model):
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith(("gamma", "moving_variance")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif not weight.path.endswith("kernel"):
            weight.assign(rng.normal(0, 0.3, weight.shape))
    return model


def check_same_weights(model, dilated):
    assert [w.path for w in dilated.weights] == [w.path for w in model.weights]
    assert [w.shape for w in dilated.weights] == [w.shape for w in model.weights]


# Strides in the first 1x1 and in the 3x3 of bottlenecks, groups, 3x3 projections, basic blocks.
@pytest.mark.parametrize(
    ("name", "options"),
    rest_thorough(
        [
            ("ResNet18", {}),
            ("ResNet50", {}),
            ("ResNet50", {"geometry": "caffe"}),
            ("ResNet50", {"geometry": "tiered"}),
            ("SEResNet18", {"attention": None, "geometry": "legacy"}),
            ("SEResNeXt50", {"attention": None}),
        ]
    ),
)
def test_the_same_numbers_where_the_strided_network_has_places(narrow, name, options):
    """Borders too: beyond the map both pad with zeros, at the same places."""
    model = randomized(narrow(name, **options))
    x = image(2, 75, 109, 3)
    expected = np.asarray(model(x))
    assert expected.shape[1:3] == (3, 4)
    for stride in (16, 8):
        dilated = narrow(name, output_stride=stride, **options)
        check_same_weights(model, dilated)
        dilated.set_weights(model.get_weights())
        found, step = np.asarray(dilated(x)), 32 // stride
        assert found.shape[1:3] == (-(-75 // stride), -(-109 // stride))
        assert_close(found[:, ::step, ::step], expected, 1e-5)


def test_a_projection_of_3x3_is_dilated(monkeypatch, narrow):
    """As SENet-154 has them."""
    variant = residual_network.RESNETS[50]._replace(projection_size=3)
    monkeypatch.setitem(residual_network.RESNETS, 50, variant)
    model, x = randomized(narrow("ResNet50")), image(1, 64, 96, 3)
    dilated = narrow("ResNet50", output_stride=8)
    assert dilated.get_layer("stage4_block1_projection").dilation_rate == (2, 2)
    dilated.set_weights(model.get_weights())
    assert_close(np.asarray(dilated(x))[:, ::4, ::4], np.asarray(model(x)), 1e-5)


@pytest.mark.parametrize(
    ("stride", "levels"),
    [
        (32, {"P2": 4, "P3": 8, "P4": 16, "P5": 32}),
        (16, {"P2": 4, "P3": 8, "P4": 16}),
        (8, {"P2": 4, "P3": 8}),
    ],
)
def test_levels_keep_their_strides(narrow, stride, levels):
    model = narrow("ResNet18", output_stride=stride)
    maps = keras.Model(model.inputs[0], pyramid_outputs(model))(image(1, 64, 96, 3))
    assert {name: 64 // x.shape[1] for name, x in maps.items()} == levels
    np.testing.assert_array_equal(maps[list(maps)[-1]], model(image(1, 64, 96, 3)))
    assert list(maps)[-1] == list(levels)[-1]


@pytest.mark.parametrize(
    "name",
    rest_thorough(
        ["SEResNet18", "CBAMResNet18", "BAMResNet18", "ECAResNet50", "GCResNet50", "GEResNet50"]
    ),
)
def test_networks_with_attention(narrow, name):
    model, dilated = narrow(name), narrow(name, output_stride=8, include_top=True, classes=7)
    check_same_weights(model, keras.Model(dilated.inputs[0], dilated.get_layer("P3").output))
    y = np.asarray(dilated(image(1, 64, 64, 3)))
    assert y.shape == (1, 7) and np.isfinite(y).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_stride": 4}, "`output_stride` must be one of 8, 16, 32. .*output_stride=4"),
        ({"output_stride": 16, "attention": "aa"}, "`output_stride` must be 32 where .*'aa' in st"),
    ],
)
def test_wrong_arguments(narrow, options, message):
    with pytest.raises(ValueError, match=message):
        narrow("ResNet18", **options)


def test_attention_instead_of_convolutions_of_other_stages(narrow):
    model = narrow("ResNet18", output_stride=16, attention="aa", stages=(2,))
    assert model(image(1, 64, 64, 3)).shape == (1, 4, 4, 128)
