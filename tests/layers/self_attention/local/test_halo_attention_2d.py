"""HaloAttention2D against a loop over places and timm."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import random_images, random_weights, softmax
from helpers.oracles.reference_outputs import load_source
from keras_attn.layers import HaloAttention2D


def attend_by_loops(x, weights, layer):
    """Place by place, over all places of its window; those beyond the edge masked or zero."""
    batch, height, width, _ = x.shape
    block, halo, heads = layer.block_size, layer.halo_size, layer.num_heads
    dk = layer.key_depth
    kqv = x @ weights["kqv_kernel"] + weights.get("kqv_bias", 0)
    k, q, v = (
        np.reshape(part, (batch, height, width, heads, -1))
        for part in np.split(kqv, [dk, 2 * dk], axis=3)
    )
    r_width, r_height = weights["relative_width"], weights["relative_height"]
    middle, scale = block + halo - 1, (dk // heads) ** -0.5
    position_scale = scale if layer.scale_positions else 1
    output = np.zeros((batch, height, width, layer.value_depth))
    for i in range(height):
        for j in range(width):
            top, left = i // block * block - halo, j // block * block - halo
            logits, values = [], []
            for s in range(top, top + block + 2 * halo):
                for t in range(left, left + block + 2 * halo):
                    inside = 0 <= s < height and 0 <= t < width
                    if layer.mask_edges and not inside:
                        continue
                    key = scale * k[:, s, t] if inside else np.zeros_like(k[:, 0, 0])
                    r = r_width[t - j + middle] + r_height[s - i + middle]
                    logits.append((q[:, i, j] * (key + position_scale * r)).sum(-1))
                    values.append(v[:, s, t] if inside else np.zeros_like(v[:, 0, 0]))
            weight = softmax(np.stack(logits), axis=0)  # (window, B, N)
            attended = (weight[..., None] * np.stack(values)).sum(0)
            output[:, i, j] = attended.reshape(batch, -1)
    return output


@pytest.mark.parametrize("block, halo", [(3, 1), (2, 3), (4, 0), (8, 3), (1, 1)])
@pytest.mark.parametrize("size", [(7, 5), (6, 12), (2, 1)])
@pytest.mark.parametrize("mask_edges", [True, False])
def test_equals_the_loops(block, halo, size, mask_edges):
    layer = HaloAttention2D(
        num_heads=2,
        key_depth=6,
        value_depth=10,
        block_size=block,
        halo_size=halo,
        scale_positions=mask_edges,
        mask_edges=mask_edges,
        use_bias=not mask_edges,
        dtype="float64",
    )
    shape = (2, *size, 7)
    weights = random_weights(layer, shape)
    x = random_images(shape)
    y, attention = layer(x, return_attention=True)
    assert_close(y.numpy(), attend_by_loops(x, weights, layer), 1e-10)
    np.testing.assert_allclose(np.sum(attention, axis=-1), 1, rtol=1e-12)


def test_strided_queries_with_no_positions_are_those_of_all():
    """Without positions each query has what it has among all, on a map that blocks don't tile."""
    options = {"num_heads": 2, "key_depth": 6, "value_depth": 10, "block_size": 4, "halo_size": 1}
    options["relative_initializer"] = "zeros"
    layer, strided = HaloAttention2D(**options), HaloAttention2D(**options, query_strides=2)
    x = random_images((2, 7, 11, 3)).astype("float32")
    y = layer(x)
    strided.build(x.shape)
    strided.set_weights([layer.kqv_kernel, strided.relative_width, strided.relative_height])
    got, attention = strided(x, return_attention=True)
    assert got.shape == strided.compute_output_shape(x.shape) == (2, 4, 6, 10)
    assert attention.shape == strided.compute_attention_shape(x.shape) == (2, 2, 6, 4, 36)
    assert_close(got.numpy(), np.asarray(y)[:, ::2, ::2])


def test_masked_places_have_no_weight():
    layer = HaloAttention2D(num_heads=1, key_depth=2, value_depth=2, block_size=8, halo_size=3)
    x = random_images((1, 7, 7, 4)).astype("float32")
    _, attention = layer(x, return_attention=True)
    window = np.reshape(attention, (8, 8, 14, 14))
    assert window[..., 3:10, 3:10].min() > 0
    outside = np.ones((14, 14), bool)
    outside[3:10, 3:10] = False
    assert window[..., outside].max() == 0


def test_small_map_is_global_attention():
    """Within one block, without positions, every place attends to all: permutation equivariant."""
    layer = HaloAttention2D(
        num_heads=2, key_depth=4, value_depth=4, block_size=8, relative_initializer="zeros"
    )
    x = random_images((1, 35, 6)).astype("float32")
    order = np.random.default_rng(9).permutation(35)
    straight = np.reshape(layer(x.reshape(1, 7, 5, 6)), (1, 35, 4))
    permuted = np.reshape(layer(x[:, order].reshape(1, 7, 5, 6)), (1, 35, 4))
    assert_close(permuted, straight[:, order])


@pytest.mark.parametrize(
    "name, heads, key_depth, block, halo, scaled, strides",
    [
        ("halo_attn", 2, 6, 4, 1, False, 1),
        ("halo_attn_scaled", 2, 6, 4, 1, True, 1),
        ("halo_attn_8_3", 4, 8, 8, 3, False, 1),
        ("halo_attn_strided", 2, 6, 4, 1, False, 2),
    ],
)
def test_equals_timm(name, heads, key_depth, block, halo, scaled, strides):
    state, x, expected = load_source("timm", name)
    layer = HaloAttention2D(
        num_heads=heads,
        key_depth=key_depth,
        value_depth=8,
        block_size=block,
        halo_size=halo,
        query_strides=strides,
        scale_positions=scaled,
        mask_edges=False,
        use_bias=scaled,
    )
    layer.build(x.shape)
    # timm's keys and values are one projection in which each head has its k beside its v.
    depth = key_depth // heads
    kv, q = state["kv.weight"][:, :, 0, 0].T, state["q.weight"][:, :, 0, 0].T
    weights = [np.concatenate(_keys_queries_values(kv, q, heads, depth), axis=1)]
    if scaled:
        parts = _keys_queries_values(state["kv.bias"][None], state["q.bias"][None], heads, depth)
        weights.append(np.concatenate(parts, axis=1)[0])
    tables = (state["pos_embed.width_rel"], state["pos_embed.height_rel"])
    rows = layer.relative_width.shape[0]  # those before them nothing reads
    layer.set_weights([*weights, *(table[-rows:] for table in tables)])
    assert_close(layer(x).numpy(), expected)


def _keys_queries_values(kv, q, heads, depth):
    rows = len(kv)
    kv = kv.reshape(rows, heads, -1)
    return kv[..., :depth].reshape(rows, -1), q, kv[..., depth:].reshape(rows, -1)


def test_parameters():
    layer = HaloAttention2D(num_heads=8, key_depth=128, value_depth=128)
    layer.build((None, None, None, 64))
    assert layer.count_params() == 64 * 3 * 128 + 2 * (2 * 11 - 1) * 16


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"block_size": 0}, "`block_size` must be a positive integer. Received: block_size=0"),
        ({"halo_size": -1}, "`halo_size` must be an integer of at least 0"),
        (
            {"query_strides": 3},
            "`block_size` must be divisible by `query_strides`. "
            "Received: block_size=8, query_strides=3",
        ),
        (
            {"value_depth": 5},
            "`value_depth` must be divisible by `num_heads`. Received: value_depth=5, num_heads=2",
        ),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        HaloAttention2D(**{"num_heads": 2, "key_depth": 6, "value_depth": 4, **kwargs})
    assert message in str(error.value)
