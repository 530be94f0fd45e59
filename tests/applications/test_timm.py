"""timm's networks: counts, where attention stands, and what every network must do."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.network_checks import NetworkChecks, image, layer_names, read_layer_names
from keras_attn import layers
from keras_attn.applications import MODELS, TimmResNet, VoVNet
from keras_attn.applications.timm import resnet
from keras_attn.applications.timm.variants import VARIANTS
from keras_attn.cost import read_costs
from keras_attn.kinds import KINDS
from keras_attn.weights import SETS, choose


def narrowed(name):
    """A network of few channels, in the table under its name."""
    variant = VARIANTS[name]
    stages = tuple(
        each._replace(
            blocks=2,
            filters=64 * i,
            width=32 * i,
            groups=min(each.groups, 2),
        )
        for i, each in enumerate(variant.stages, start=1)
    )
    return {**VARIANTS, name: variant._replace(stages=stages)}


@pytest.mark.thorough
class TestResNeSt(NetworkChecks):
    make = staticmethod(partial(TimmResNet, "resnest50d"))
    slim = {(resnet, "VARIANTS"): narrowed("resnest50d")}
    channels = 256


@pytest.mark.thorough
class TestHaloNet(NetworkChecks):
    make = staticmethod(partial(TimmResNet, "halonet26t"))
    slim = {(resnet, "VARIANTS"): narrowed("halonet26t")}
    channels = 256


@pytest.mark.thorough
class TestBoTNet(NetworkChecks):
    make = staticmethod(partial(TimmResNet, "botnet26t_256"))
    slim = {(resnet, "VARIANTS"): narrowed("botnet26t_256")}
    channels = 256


@pytest.mark.thorough
class TestVoVNet(NetworkChecks):
    make = staticmethod(partial(VoVNet, "ese_vovnet19b_dw"))
    channels = 1024


@pytest.mark.parametrize("name", ["halonet26t", "resnest14d", "ese_vovnet19b_dw"])
def test_layer_names(name, no_values):
    """Changing one breaks every file of weights."""
    assert layer_names(MODELS[name]()) == read_layer_names(name)


# timm's numbers of parameters, in millions, from its results/results-imagenet.csv.
@pytest.mark.parametrize(
    "name, millions",
    [("seresnext26ts", 10.4), ("gcresnext26ts", 10.5), ("eca_resnext26ts", 10.3)]
    + [("seresnet33ts", 19.8), ("eca_resnet33ts", 19.7), ("gcresnet33ts", 19.9)]
    + [("gcresnext50ts", 15.7), ("ecaresnet26t", 16.0), ("ecaresnetlight", 30.2)]
    + [("ecaresnet269d", 102.1), ("skresnet18", 12.0), ("skresnet34", 22.3)]
    + [("seresnextaa101d_32x8d", 93.6), ("seresnextaa201d_32x8d", 149.4)]
    + [("seresnext26d_32x4d", 16.8), ("seresnext101_32x8d", 93.6), ("seresnext101_64x4d", 88.2)]
    + [("resnetrs50", 35.7), ("resnetrs101", 63.6), ("resnetrs152", 86.6), ("resnetrs200", 93.2)]
    + [("resnetrs270", 129.9), ("resnetrs350", 164.0), ("resnetrs420", 191.9)]
    + [("haloregnetz_b", 11.7)],
)
def test_parameters(name, millions):
    assert round(read_costs()[name].trainable / 1e6, 1) == millions


@pytest.mark.parametrize(
    "name, kind, stages",
    [
        ("sebotnet33ts_256", "bot", {2: [3], 3: [3], 4: [1, 2]}),
        ("halonet50ts", "halo", {2: [4], 3: [2, 4, 6], 4: [2]}),
        ("lambda_resnet26t", "lambda", {3: [2], 4: [1, 2]}),
        ("halo2botnet50ts_256", "halo", {2: [2, 4], 3: [2, 4, 6]}),
        ("halo2botnet50ts_256", "bot", {4: [2]}),
        ("haloregnetz_b", "halo", {3: [4, 8, 12], 4: [1, 2]}),
    ],
)
def test_where_attention_stands(name, kind, stages, no_values):
    model = TimmResNet(name, include_top=False, input_shape=(None, None, 3))
    found = [layer.name for layer in model.layers if isinstance(layer, KINDS[kind].layer)]
    wanted = [f"stage{s}_block{b}_{kind}" for s, blocks in stages.items() for b in blocks]
    assert found == wanted


def test_strided_halo_attention_is_in_the_last_stage(no_values):
    model = TimmResNet("eca_halonext26ts", include_top=False)
    halo = [x for x in model.layers if isinstance(x, layers.HaloAttention2D)]
    assert [(x.query_strides, x.relative_width.shape[0]) for x in halo] == [
        (1, 12 + 8 - 1),
        (2, 12 + 4 - 1),
        (1, 12 + 8 - 1),
    ]


def test_halo_attention_whose_blocks_no_stride_divides_is_pooled(no_values):
    model = TimmResNet("haloregnetz_b", include_top=False, input_shape=(224, 224, 3))
    halo = [x for x in model.layers if isinstance(x, layers.HaloAttention2D)]
    assert {x.query_strides for x in halo} == {1}
    assert [x.output.shape[1] for x in halo] == [14, 14, 14, 14, 7]
    assert [(x.key_depth, x.value_depth) for x in halo[-2:]] == [(192, 576), (288, 864)]
    assert model.output_shape == (None, 7, 7, 1536)


def test_inverted_blocks_have_a_shortcut_where_the_shape_stays(no_values):
    model = TimmResNet("haloregnetz_b", include_top=False)
    sums = [layer.name for layer in model.layers if layer.name.endswith("_add")]
    stages = {1: 2, 2: 6, 3: 12, 4: 2}
    assert sums == [f"stage{s}_block{b}_add" for s, n in stages.items() for b in range(2, n + 1)]
    assert not [layer.name for layer in model.layers if "projection" in layer.name]


def test_a_pool_behind_silu_is_padded_with_no_zeros():
    """A zero would be the maximum of what SiLU leaves below it."""
    pools = [keras.layers.MaxPooling2D(3, 1, "same"), keras.layers.MaxPooling2D(1, 2)]
    x = -(image(1, 7, 10, 2) ** 2) - 0.1
    y = np.asarray(pools[1](pools[0](x)))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    expected = [
        [padded[0, i : i + 3, j : j + 3].max((0, 1)) for j in range(0, 10, 2)]
        for i in range(0, 7, 2)
    ]
    assert_close(y[0], np.array(expected))


def test_a_set_of_each_variant_is_the_usual_one():
    for each in SETS:
        if each.is_default and each.metadata.network == "TimmResNet":
            found = choose("imagenet", "TimmResNet", {"variant": each.arguments["variant"]})
            assert found.set is each


@pytest.mark.parametrize("construct", [TimmResNet, VoVNet])
def test_wrong_variant(construct):
    with pytest.raises(ValueError, match="`variant` must be one of .* Received: variant='resnet'"):
        construct("resnet")


def test_another_variants_set_is_refused():
    with pytest.raises(ValueError, match="`variant` must be 'resnest14d' for weights="):
        TimmResNet("resnest26d", weights="timm/resnest14d.gluon_in1k")
