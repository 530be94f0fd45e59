"""AugmentedConv2D: its two branches, the paper's rounding and counts, strides."""

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.attention_loops import attend_by_loops
from keras_attn.layers import AugmentedConv2D, depths_from_ratios


def make(**kwargs):
    return AugmentedConv2D(
        **{
            "filters": 9,
            "kernel_size": 3,
            "num_heads": 2,
            "key_depth": 6,
            "value_depth": 4,
            **kwargs,
        }
    )


def image(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_convolution_comes_first_attention_second():
    layer = make(dtype="float64")
    x = np.random.default_rng(1).normal(size=(2, 5, 3, 7))
    y = layer(x)
    rng = np.random.default_rng(2)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    y = layer(x).numpy()
    kernel, bias = layer.convolution.get_weights()
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.zeros((2, 5, 3, 5)) + bias
    for dy in range(3):
        for dx in range(3):
            expected += padded[:, dy : dy + 5, dx : dx + 3] @ kernel[dy, dx]
    assert_close(y[..., :5], expected, 1e-12)
    attended, _ = attend_by_loops(x, layer.attention.get_weights(), 2, 6, 4)
    assert_close(y[..., 5:], attended, 1e-12)


def test_strided_attention_sees_the_pooled_image():
    layer = make(strides=2)
    x = image(1, 6, 8, 5)
    y = layer(x).numpy()
    assert y.shape == (1, 3, 4, 9)
    # 3x3 windows, stride 2, `same`: on even sides they start at 0, 2, 4 and hang over the end.
    pooled = np.stack(
        [
            [x[0, i : i + 3, j : j + 3].mean(axis=(0, 1)) for j in range(0, 8, 2)]
            for i in range(0, 6, 2)
        ]
    )[None]
    assert_close(y[..., 5:], layer.attention(pooled).numpy())


def test_attention_strides_resize_back():
    layer = make(attention_strides=2)
    x = image(1, 6, 8, 5)
    y, attention = layer(x, return_attention=True)
    assert attention.shape == (1, 2, 12, 12)
    pooled = keras.ops.average_pool(x, 3, 2, padding="same")
    expected = keras.ops.image.resize(layer.attention(pooled), (6, 8))
    assert_close(y.numpy()[..., 5:], expected.numpy())


def test_dilation_widens_the_convolution_only():
    layer = make(dilation_rate=2, use_bias=False)
    x = np.zeros((1, 7, 7, 3), "float32")
    x[0, 3, 3] = 1
    y = layer(x).numpy()
    reached = np.abs(y[0, :, :, :5]).sum(axis=-1) > 0
    rows, columns = np.nonzero(reached)
    assert set(rows) == {1, 3, 5} and set(columns) == {1, 3, 5}
    plain = make(use_bias=False)
    plain.build(x.shape)
    plain.set_weights(layer.get_weights())
    np.testing.assert_array_equal(plain(x).numpy()[..., 5:], y[..., 5:])


def test_no_values_is_a_plain_convolution():
    layer = make(value_depth=0, key_depth=5, num_heads=3)
    x = image(1, 5, 4, 3)
    conv = keras.layers.Conv2D(9, 3, padding="same")
    conv.build(x.shape)
    layer.build(x.shape)
    conv.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(x), conv(x))
    assert layer.attention is None
    with pytest.raises(ValueError, match="`return_attention` needs attention"):
        layer(x, return_attention=True)
    with pytest.raises(ValueError, match="`return_attention` needs attention"):
        layer(keras.KerasTensor((1, 5, 4, 3)), return_attention=True)


def test_fully_attentional():
    layer = make(filters=8, value_depth=8)
    x = image(1, 5, 4, 3)
    y = layer(x)
    assert layer.convolution is None
    np.testing.assert_array_equal(y, layer.attention(x))


# key_depth, value_depth of the paper's networks (spec: dk = 160 and dv = 8 / 24 / 48 ...).
@pytest.mark.parametrize(
    "filters, kappa, upsilon, expected",
    [
        (128, 0.2, 0.1, (160, 8)),
        (256, 0.2, 0.1, (160, 24)),
        (512, 0.2, 0.1, (160, 48)),
        (128, 0.25, 0.25, (160, 32)),
        (512, 0.25, 0.25, (160, 128)),
        (512, 1.0, 1.0, (512, 512)),
        (512, 0.5, 0.0, (256, 0)),
    ],
)
def test_paper_rounding(filters, kappa, upsilon, expected):
    assert depths_from_ratios(filters, kappa, upsilon, num_heads=8) == expected
    layer = AugmentedConv2D.from_ratios(filters, 3, kappa=kappa, upsilon=upsilon, num_heads=8)
    assert (layer.key_depth, layer.value_depth) == expected


def test_rounding_is_not_fooled_by_binary_fractions():
    assert depths_from_ratios(10, 0.7, 0.7, num_heads=1, min_key_dim=1) == (7, 7)
    assert depths_from_ratios(10, 0.69, 0.69, num_heads=1, min_key_dim=1) == (6, 6)


@pytest.mark.parametrize(
    "filters, side, count", [(128, 14, 181_368), (256, 14, 624_248), (512, 14, 2_329_912)]
)
def test_parameters_of_the_papers_layers(filters, side, count):
    layer = AugmentedConv2D.from_ratios(
        filters, 3, kappa=0.2, upsilon=0.1, num_heads=8, use_bias=False
    )
    layer.build((None, side, side, filters))
    assert layer.count_params() == count


def test_tables_of_a_7x7_map_are_560_parameters_fewer():
    counts = []
    for side in (14, 7):
        layer = AugmentedConv2D.from_ratios(512, 3, kappa=0.2, upsilon=0.1, num_heads=8)
        layer.build((None, side, side, 512))
        counts.append(layer.count_params())
    assert counts[0] - counts[1] == 560


def test_parameters_with_biases():
    layer = make(filters=13, value_depth=4)
    layer.build((None, 5, 7, 11))
    # k^2 Fin (F - dv) + Fin (2 dk + dv) + dv^2 + (2 H + 2 W - 2) dkh, then the biases.
    expected = 9 * 11 * 9 + 11 * 16 + 16 + (10 + 14 - 2) * 3 + 9 + 16 + 4
    assert layer.count_params() == expected


def test_table_size_is_that_of_the_strided_map():
    layer = make(strides=2)
    layer.build((None, 9, 6, 3))
    assert layer.attention.relative_height.shape[0] == 2 * 5 - 1
    assert layer.attention.relative_width.shape[0] == 2 * 3 - 1


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"filters": 0}, "`filters` must be a positive integer. Received: filters=0"),
        ({"value_depth": 10}, "`value_depth` must not be greater than `filters`"),
        ({"value_depth": -2}, "`value_depth` must be an integer of at least 0"),
        ({"value_depth": 3}, "`value_depth` must be divisible by `num_heads`"),
        ({"key_depth": 5}, "`key_depth` must be divisible by `num_heads`"),
        ({"strides": (1, 0)}, "`strides` must be a positive integer"),
        ({"dilation_rate": "2"}, "`dilation_rate` must be a positive integer"),
        ({"kernel_size": (3, 3, 3)}, "`kernel_size` must be a positive integer or two of them"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        make(**kwargs)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"kappa": 0.0}, "`kappa` must be in (0, 1]. Received: kappa=0.0"),
        ({"upsilon": 1.5}, "`upsilon` must be in [0, 1]. Received: upsilon=1.5"),
        ({"upsilon": 0.1}, "`upsilon` must leave every head at least one value channel"),
        ({"min_key_dim": 0}, "`min_key_dim` must be a positive integer"),
    ],
)
def test_wrong_ratios(kwargs, message):
    arguments = {"kappa": 0.25, "upsilon": 0.25, "num_heads": 8, **kwargs}
    with pytest.raises(ValueError) as error:
        AugmentedConv2D.from_ratios(64, 3, **arguments)
    assert message in str(error.value)


def test_unknown_size_needs_a_table_size():
    with pytest.raises(ValueError, match="`table_size` must be given where"):
        make().build((None, None, None, 3))
