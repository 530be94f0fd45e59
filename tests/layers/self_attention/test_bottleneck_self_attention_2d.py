"""BottleneckSelfAttention2D against a loop over places and timm."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import random_images, random_weights, softmax
from helpers.oracles.reference_outputs import load_source
from keras_attn.layers import BottleneckSelfAttention2D, SelfAttention2D


def attend_by_loops(x, weights, layer):
    """Place by place: (output, attention)."""
    batch, height, width, _ = x.shape
    heads, dk, dv = layer.num_heads, layer.key_depth, layer.value_depth
    kqv = x @ weights["kqv_kernel"] + weights.get("kqv_bias", 0)
    k, q, v = (
        np.reshape(part, (batch, height * width, heads, -1))
        for part in np.split(kqv, [dk, 2 * dk], axis=3)
    )
    r_width, r_height = weights["relative_width"], weights["relative_height"]
    scale = (dk // heads) ** -0.5
    position_scale = scale if layer.scale_positions else 1
    logits = np.zeros((batch, heads, height * width, height * width))
    for i in range(height * width):
        for j in range(height * width):
            down, across = j // width - i // width, j % width - i % width
            r = r_width[across + len(r_width) // 2] + r_height[down + len(r_height) // 2]
            key = scale * k[:, j] + position_scale * r
            logits[:, :, i, j] = (q[:, i] * key).sum(-1)
    attention = softmax(logits)
    output = np.einsum("bnij,bjnd->bind", attention, v)
    return output.reshape(batch, height, width, dv), attention


@pytest.mark.parametrize("size", [(5, 3), (1, 4), (1, 1)])
@pytest.mark.parametrize("scale_positions, use_bias", [(False, False), (True, True)])
def test_equals_the_loops(size, scale_positions, use_bias):
    layer = BottleneckSelfAttention2D(
        num_heads=2,
        key_depth=6,
        value_depth=10,
        scale_positions=scale_positions,
        use_bias=use_bias,
        dtype="float64",
    )
    shape = (2, *size, 7)
    weights = random_weights(layer, shape)
    x = random_images(shape)
    for got, expected in zip(
        layer(x, return_attention=True), attend_by_loops(x, weights, layer), strict=True
    ):
        assert_close(got.numpy(), expected, 1e-10)


def test_one_image_one_head_and_one_row():
    """TensorFlow's BiasAdd must not take the height's logits (1, 1, 1, W, 1, 1) for a bias."""
    layer = BottleneckSelfAttention2D(num_heads=1, key_depth=3, value_depth=5, dtype="float64")
    weights = random_weights(layer, (1, 1, 4, 7))
    x = random_images((1, 1, 4, 7))
    assert_close(layer(x).numpy(), attend_by_loops(x, weights, layer)[0], 1e-10)


@pytest.mark.parametrize(
    "name, scaled", [("bottleneck_attn", False), ("bottleneck_attn_scaled", True)]
)
def test_equals_timm(name, scaled):
    state, x, expected = load_source("timm", name)
    layer = BottleneckSelfAttention2D(
        num_heads=2, key_depth=6, value_depth=8, scale_positions=scaled, use_bias=scaled
    )
    layer.build(x.shape)
    q, k, v = np.split(state["qkv.weight"][:, :, 0, 0].T, [6, 12], axis=1)
    weights = [np.concatenate([k, q, v], axis=1)]
    if scaled:
        q, k, v = np.split(state["qkv.bias"], [6, 12])
        weights.append(np.concatenate([k, q, v]))
    weights += [state["pos_embed.width_rel"], state["pos_embed.height_rel"]]
    layer.set_weights(weights)
    assert_close(layer(x).numpy(), expected)


def test_scaled_is_self_attention_without_its_last_projection():
    depths = {"num_heads": 2, "key_depth": 6, "value_depth": 4, "dtype": "float64"}
    layer = BottleneckSelfAttention2D(**depths, scale_positions=True)
    whole = SelfAttention2D(**depths, use_bias=False)
    shape = (2, 5, 3, 7)
    weights = random_weights(layer, shape)
    whole.build(shape)
    whole.set_weights(
        [weights["kqv_kernel"], np.eye(4), weights["relative_width"], weights["relative_height"]]
    )
    x = random_images(shape)
    assert_close(layer(x).numpy(), whole(x).numpy(), 1e-10)


def test_parameters():
    layer = BottleneckSelfAttention2D(num_heads=4, key_depth=512, value_depth=512)
    layer.build((None, 14, 7, 512))
    assert layer.count_params() == 512 * 3 * 512 + (2 * 14 - 1 + 2 * 7 - 1) * 128


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"num_heads": 0}, "`num_heads` must be a positive integer. Received: num_heads=0"),
        (
            {"key_depth": 7},
            "`key_depth` must be divisible by `num_heads`. Received: key_depth=7, num_heads=2",
        ),
        ({"value_depth": 0}, "`value_depth` must be a positive integer"),
        ({"table_size": (3, 0)}, "`table_size` must be a positive integer"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        BottleneckSelfAttention2D(**{"num_heads": 2, "key_depth": 6, "value_depth": 4, **kwargs})
    assert message in str(error.value)


def test_unknown_size_needs_a_table_size():
    layer = BottleneckSelfAttention2D(num_heads=2, key_depth=6, value_depth=4)
    with pytest.raises(ValueError, match="`table_size` must be given where"):
        layer.build((None, None, 7, 3))
