"""Random states of the sources' own networks, read by ours: the logits are the source's.

`tests/golden/make_weights.py` ran the sources; the weights are made anew from the names.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest

from helpers.marks import rest_thorough
from helpers.oracles.random_state import random_image, recorded, uniform
from helpers.paths import GOLDEN
from keras_attn import applications
from keras_attn.applications.common import residual_network
from keras_attn.applications.timm.variants import VARIANTS
from keras_attn.applications.timm.vovnet import VOVNETS
from keras_attn.layers import AttentionModule
from keras_attn.weights import SETS, convert, read_tensors
from keras_attn.weights.files import naming_of
from keras_attn.weights.sources.image_classifiers import SENET
from keras_attn.weights.sources.residual_attention import PYTORCHCV

SMALL = (1, 2, 1, 1)

# Golden -> the constructor, and the tag of a set whose arguments it needs.
NETWORKS = {
    "legacy_seresnet18": "timm/legacy_seresnet18.in1k",
    "legacy_seresnet50": "timm/legacy_seresnet50.in1k",
    "legacy_seresnext50_32x4d": "timm/legacy_seresnext50_32x4d.in1k",
    "legacy_senet154": "timm/legacy_senet154.in1k",
    "seresnet50": "timm/seresnet50.ra2_in1k",
    "seresnext50_32x4d": "timm/seresnext50_32x4d.racm_in1k",
    "senet154": "timm/senet154.gluon_in1k",
    "seresnet152d": "timm/seresnet152d.ra2_in1k",
    "ecaresnet50t": "timm/ecaresnet50t.ra2_in1k",
    "ecaresnet50d": "timm/ecaresnet50d.miil_in1k",
    "ecaresnet101d": "timm/ecaresnet101d.miil_in1k",
    "gcresnet50t": "timm/gcresnet50t.ra2_in1k",
    "skresnext50_32x4d": "timm/skresnext50_32x4d.ra_in1k",
    "cbam_resnet50": "attention-module/resnet50_cbam",
    "bam_resnet50": "attention-module/resnet50_bam",
    "classifiers_seresnet50": "image-classifiers/seresnet50",
    "classifiers_seresnext50": "image-classifiers/seresnext50",
    "classifiers_senet154": "image-classifiers/senet154",
    "resattnet56": "phamquiluan/resattnet56",
}
# timm's name of a network -> the first of its sets.
TIMM_ATTENTION = {
    each.arguments["variant"]: each.metadata.tag
    for each in reversed(SETS)
    if each.metadata.network in ("TimmResNet", "VoVNet")
}
NETWORKS |= TIMM_ATTENTION
BY_TAG = {each.metadata.tag: each for each in SETS}


@pytest.fixture
def small(monkeypatch):
    """Networks of few blocks in each stage."""
    for table in (residual_network.RESNETS, residual_network.RESNEXTS, residual_network.SENETS):
        for depth, variant in table.items():
            monkeypatch.setitem(table, depth, variant._replace(blocks=SMALL))
    for name, variant in VARIANTS.items():
        stages = zip(variant.stages, SMALL, strict=True)
        few = tuple(stage._replace(blocks=blocks) for stage, blocks in stages)
        monkeypatch.setitem(VARIANTS, name, variant._replace(stages=few))


def check(name, golden):
    """Our network of these weights gives the source's logits."""
    tensors, logits = recorded(golden)
    tensors = {key.removeprefix("module."): each for key, each in tensors.items()}
    each = BY_TAG[NETWORKS[name]]
    construct = getattr(applications, each.metadata.network)
    model = construct(
        **each.arguments, input_shape=(None, None, 3), classes=11, classifier_activation=None
    )
    naming = naming_of(tensors, name)
    assert naming is each.naming
    report = convert(model, tensors, naming)
    assert report.changes == () and len(report.loaded) == len(model.weights)
    assert len(logits) == 2
    for size, expected in logits.items():
        np.testing.assert_allclose(model(random_image(*size)), expected, rtol=0, atol=1e-5)


# One of each table, and of each way to pool, pad and stride.
FAST = (
    "legacy_seresnet18",
    "legacy_seresnet50",
    "seresnext50_32x4d",
    "ecaresnet50t",
    "gcresnet50t",
    "skresnext50_32x4d",
    "cbam_resnet50",
    "bam_resnet50",
    "classifiers_seresnext50",
    "seresnextaa101d_32x8d",
    "resnest50d_4s2x40d",
    "resnest50d_1s4x24d",
    "seresnet33ts",
    "resnetrs50",
    "skresnet18",
    "bat_resnext26ts",
    "eca_botnext26ts_256",
    "eca_halonext26ts",
    "haloregnetz_b",
    "lambda_resnet26t",
    "lambda_resnet26rpt_256",
)


@pytest.mark.parametrize("name", rest_thorough(FAST))
def test_small_networks(name, small):
    check(name, f"{name}_small")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {*FAST, "resattnet56", *TIMM_ATTENTION}))
def test_more_small_networks(name, small):
    check(name, f"{name}_small")


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks_at_224(name):
    check(name, name)
    keras.backend.clear_session()


def test_every_set_of_timms_attention_is_compared():
    assert set(TIMM_ATTENTION) == {*VARIANTS, *VOVNETS}
    for name in TIMM_ATTENTION:
        assert (GOLDEN / "weights" / f"{name}.npz").exists()


def test_a_file_that_keras_2_wrote():
    expected, _ = recorded("keras2_file")
    tensors = read_tensors(GOLDEN / "weights" / "keras2_file.h5")
    assert list(tensors) == list(expected) and "conv2d_2/kernel" in tensors
    for name, array in expected.items():
        np.testing.assert_allclose(tensors[name], array, rtol=1e-6)
    numbered = SENET.prepared(tensors)
    assert {"conv2d/kernel", "conv2d_1/bias", "batch_normalization/gamma", "dense/kernel"} < set(
        numbered
    )


def test_the_attention_block_of_pytorchcv():
    """With padded pools and added targets; without them the weights load, too, and are wrong."""
    tensors, expected = recorded("attention_block")
    layer = {"mask_depth": 2, "name": "stage2_attention1"}
    for variant in ({"mask_pooling": "padded", "add_targets": True}, {}):
        image = keras.Input((None, None, 16))
        model = keras.Model(image, AttentionModule(**layer, **variant)(image))
        convert(model, tensors, PYTORCHCV)
        for size, y in expected.items():
            got = model(uniform("map", (1, *size, 16)))
            if variant:
                np.testing.assert_allclose(got, y, rtol=0, atol=1e-5)
            else:
                assert np.abs(got - y).max() > 1e-2
