"""SE-BN-Inception: the authors' counts, their pools, and what every network must do."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.network_checks import NetworkChecks, count_trainable, image
from keras_attn.applications import SEBNInception, bn_inception
from keras_attn.layers import CeilMaxPooling2D, SqueezeExcite


def narrow(module):
    """The module with an eighth of the filters."""
    widths = {key: value // 8 for key, value in module._asdict().items() if isinstance(value, int)}
    return module._replace(**widths)


@pytest.mark.thorough
class TestSEBNInception(NetworkChecks):
    make = staticmethod(SEBNInception)
    slim = {
        (bn_inception, "STAGES"): {
            stage: tuple(narrow(module) for module in (modules[0], modules[-1]))
            for stage, modules in bn_inception.STAGES.items()
        }
    }
    channels = 128


def test_parameters_are_the_prototxts(built):
    squeezed, plain = built("SEBNInception"), built("SEBNInception", attention=None)
    assert count_trainable(squeezed) == 11_931_622
    assert count_trainable(squeezed) - count_trainable(plain) == 646_398
    assert plain.name == "bn_inception"


def test_squeeze_excite_on_each_modules_output(built):
    model = built("SEBNInception")
    gates = [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]
    assert [gate.input.shape[-1] for gate in gates] == [
        *(256, 320, 576),
        *(576, 576, 608, 608, 1056),
        *(1024, 1024),
    ]
    assert all("concat" in gate.input._keras_history.operation.name for gate in gates)
    assert [gate.reduce_kernel.shape[-1] for gate in gates[:3]] == [16, 20, 36]


def test_average_pools_count_their_padding(monkeypatch):
    monkeypatch.setattr(bn_inception, "STAGES", {3: bn_inception.STAGES[3][:1]})
    """Caffe divides by 9 at the edges, too; Keras's `same` does not."""
    model = SEBNInception(input_shape=(None, None, 3), include_top=False)
    pool = model.get_layer("stage3_block1_pool")
    before = model.get_layer("stage3_block1_pool_pad").input
    x, y = keras.Model(model.input, [before, pool.output])(image(1, 56, 40, 3))
    x, y = x.numpy(), y.numpy()
    assert x.shape == y.shape == (1, 7, 5, 192)
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    expected = sum(padded[:, i : i + 7, j : j + 5] for i in range(3) for j in range(3)) / 9
    assert_close(y, expected)


def test_strided_pools_are_caffes_on_even_sides(built):
    model = built("SEBNInception")
    x = image(2, 28, 28, 5)
    for name in ("stage3_block3_pool", "stage4_block5_pool"):
        pool = model.get_layer(name)
        assert_close(pool(x).numpy(), CeilMaxPooling2D()(x).numpy(), 1e-7)
    last = model.get_layer("stage5_block2_pool")
    assert isinstance(last, keras.layers.MaxPooling2D) and last.strides == (1, 1)
    first = model.get_layer("stage5_block1_pool")
    assert isinstance(first, keras.layers.AveragePooling2D)


def test_ratio():
    with pytest.raises(ValueError, match="`ratio` must be a positive integer"):
        SEBNInception(ratio=0)
