"""The networks for 32x32 images: counts, where attention stands, and what every network must do."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.network_checks import NetworkChecks, as_trained, pixels
from keras_attn.applications import CIFARResNet, ResidualAttentionCIFAR
from keras_attn.layers import AttentionModule, AugmentedConv2D, SqueezeExcite


class OfCIFAR(NetworkChecks):
    small = 16
    odd = (17, 11)
    channels = 64
    strides = {"P0": 1, "P1": 2, "P2": 4}


class TestCIFARResNet(OfCIFAR):
    make = staticmethod(partial(CIFARResNet, 8))


class TestSECIFARResNet(OfCIFAR):
    make = staticmethod(partial(CIFARResNet, 8, attention="se"))


class TestAACIFARResNet(OfCIFAR):
    make = staticmethod(partial(CIFARResNet, 8, attention="aa"))

    def test_keras_file(self, model, tmp_path):
        """The one in the fast suite."""
        self.check_keras_file(model, tmp_path)


@pytest.mark.thorough
class TestResidualAttentionCIFAR(OfCIFAR):
    make = staticmethod(ResidualAttentionCIFAR)
    channels = 256


def split_counts(model):
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    norms = sum(
        int(np.prod(w.shape)) for w in model.trainable_weights if w.path.endswith(("gamma", "beta"))
    )
    return trainable - norms, trainable, model.count_params()


# Section 4.2 of the spec: convolutions and classifier, trainable, all.
@pytest.mark.parametrize(
    "depth, counts",
    [
        (56, (1_132_986, 1_148_858, 1_164_730)),
        (92, (1_931_706, 1_959_738, 1_987_770)),
        pytest.param(128, (2_730_426, 2_770_618, 2_810_810), marks=pytest.mark.slow),
        pytest.param(164, (3_529_146, 3_581_498, 3_633_850), marks=pytest.mark.slow),
        pytest.param(236, (5_126_586, 5_203_258, 5_279_930), marks=pytest.mark.slow),
    ],
)
def test_parameters_of_residual_attention(depth, counts, built):
    assert split_counts(built("ResidualAttentionCIFAR", depth)) == counts


@pytest.mark.slow
def test_attention_452_follows_the_rule_of_two_r_at_the_bottom(no_values):
    assert split_counts(ResidualAttentionCIFAR(452))[0] == 10_140_090


def test_parameters_of_resnet(built):
    assert split_counts(built("CIFARResNet", 20))[1] == 269_722  # He et al.: 0.27M
    assert split_counts(built("CIFARResNet", 110))[1] == 1_727_962  # 1.7M


def test_where_attention_stands(built):
    def stages(model, layer):
        return [one.name[:13] for one in model.layers if isinstance(one, layer)]

    every = [f"stage{stage}_block{block}" for stage in (1, 2, 3) for block in (1, 2, 3)]
    assert stages(built("CIFARResNet", 20, attention="se"), SqueezeExcite) == every
    assert stages(built("CIFARResNet", 20, attention="aa"), AugmentedConv2D) == every[3:]
    chosen = CIFARResNet(20, attention="se", stages=[3])
    assert stages(chosen, SqueezeExcite) == every[6:]
    assert stages(built("CIFARResNet", 20), (SqueezeExcite, AugmentedConv2D)) == []
    assert len(stages(built("ResidualAttentionCIFAR", 92), AttentionModule)) == 6
    assert stages(built("ResidualAttentionCIFAR", masks=False), AttentionModule) == []


def test_augmented_convolutions_of_the_narrow_nets(built):
    model = built("CIFARResNet", 20, attention="aa")
    layer = model.get_layer("stage3_block1_conv1")
    assert (layer.num_heads, layer.key_depth, layer.value_depth) == (4, 16, 16)
    assert layer.strides == (2, 2)
    assert layer.attention.relative_width.shape == (15, 4)
    dynamic = CIFARResNet(20, attention="aa", input_shape=(None, None, 3))
    for known, unknown in zip(model.weights, dynamic.weights, strict=True):
        assert known.shape == unknown.shape


def test_the_baseline_without_masks_has_the_trunks_depth(built):
    plain = built("ResidualAttentionCIFAR", masks=False)
    masked = built("ResidualAttentionCIFAR", 56)
    trunk = sum("mask" not in w.path for w in masked.weights)
    assert len(plain.weights) == trunk


@pytest.mark.parametrize(
    "construct, kwargs, message",
    [
        (
            CIFARResNet,
            {"depth": 21},
            "`depth` must be 6 n + 2 with n at least 1. Received: depth=21",
        ),
        (CIFARResNet, {"depth": 2}, "`depth` must be 6 n + 2"),
        (CIFARResNet, {"attention": "cbm"}, "`attention` must be one of None, 'se', "),
        (
            CIFARResNet,
            {"stages": [4]},
            "`stages` must hold stages from 1 to 3. Received: stages=[4]",
        ),
        (
            ResidualAttentionCIFAR,
            {"depth": 57},
            "`depth` must be one of 56, 92, 128, 164, 236, 452",
        ),
        (
            ResidualAttentionCIFAR,
            {"mask_activation": "se"},
            "`mask_activation` must be one of 'mixed', 'channel', 'spatial'. Received",
        ),
        (
            ResidualAttentionCIFAR,
            {"mask_depths": (3, 2)},
            "`mask_depths` must have one entry per st",
        ),
    ],
)
def test_wrong_arguments_of_one_family(construct, kwargs, message):
    with pytest.raises(ValueError) as error:
        construct(**kwargs)
    assert message in str(error.value)


@pytest.mark.backend
@pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.slow), "torch"])
def test_other_backends_and_channels_first(backend, tmp_path):
    """The same weights give the same logits, and the same in channels_first."""
    constructs = {
        "se": "CIFARResNet(8, attention='se', weights={path!r}, classifier_activation=None)",
        "aa": "CIFARResNet(8, attention='aa', weights={path!r}, classifier_activation=None)",
        "ra": "ResidualAttentionCIFAR(56, weights={path!r}, classifier_activation=None)",
    }
    if backend == "jax":
        del constructs["ra"]  # a minute of eager compilation; the contract runs its layers there
    x = pixels(2, 32, 32, 3)
    np.save(tmp_path / "x.npy", x)
    expected = {}
    keras.utils.set_random_seed(0)
    for name, text in constructs.items():
        model = as_trained(eval(text.format(path=None)))
        model.save_weights(tmp_path / f"{name}.weights.h5")
        expected[name] = model(x).numpy()
    script = "import sys, numpy as np, keras\nfrom keras_attn.applications import *\n"
    script += "x = np.load('x.npy')\nout = {}\n"
    for form in ("channels_last", "channels_first"):
        script += f"keras.config.set_image_data_format({form!r})\n"
        script += "" if form == "channels_last" else "x = x.transpose(0, 3, 1, 2)\n"
        for name, text in constructs.items():
            made = text.format(path=f"{name}.weights.h5")
            script += f"out['{name} {form}'] = keras.ops.convert_to_numpy({made}(x))\n"
    script += "np.savez('out.npz', **out)\n"
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    with np.load(tmp_path / "out.npz") as out:
        assert len(out.files) == 2 * len(constructs)
        for key in out.files:
            assert_close(out[key], expected[key.split()[0]], 1e-4)
