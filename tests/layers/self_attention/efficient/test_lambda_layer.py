"""LambdaLayer against timm, and against sums over all places."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import batch_norm, random_images, random_weights, softmax
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import LambdaLayer

PARTS = {"qkv": "qkv", "query_bn": "norm_q", "value_bn": "norm_v"}


def test_a_scope_equals_timm():
    def kernel(array):  # a three-dimensional one in timm, (d, 1, r, r, 1)
        return array.reshape(3, 5, 5).transpose(1, 2, 0)

    parts = {**PARTS, "positions/bias": "conv_lambda.bias"}
    parts["positions/kernel"] = ("conv_lambda.weight", kernel)
    assert_equals_source(LambdaLayer(key_dim=3, scope=5), "lambda_layer", parts)


def test_a_table_equals_timm():
    layer = LambdaLayer(key_dim=3, scope=None, table_size=(5, 3))
    parts = {**PARTS, "positions/kernel": ("pos_emb", np.asarray)}
    assert_equals_source(layer, "lambda_layer_table", parts)


def test_the_equations():
    """A lambda for each place, made as the paper writes it."""
    shape, heads, d, v = (2, 3, 4, 6), 2, 3, 5
    layer = LambdaLayer(
        num_heads=heads, key_dim=d, value_depth=heads * v, scope=None, dtype="float64"
    )
    weights = random_weights(layer, shape)
    x = random_images(shape)
    qkv = x @ weights["qkv/kernel"]
    q = batch_norm(qkv[..., : heads * d], weights, "query_bn").reshape(2, 3, 4, heads, d)
    k = softmax(qkv[..., heads * d : -v].reshape(2, 12, d), axis=1).reshape(2, 3, 4, d)
    values = batch_norm(qkv[..., -v:], weights, "value_bn")
    table = weights["positions/kernel"][:, :, 0]  # (2 H - 1, 2 W - 1, d)
    expected = np.zeros((*shape[:3], heads, v))
    for y in range(3):
        for z in range(4):
            made = np.zeros((2, d, v))
            for i in range(3):
                for j in range(4):
                    weight = k[:, i, j] + table[i - y + 2, j - z + 3]
                    made += np.einsum("bd,bv->bdv", weight, values[:, i, j])
            expected[:, y, z] = np.einsum("bnd,bdv->bnv", q[:, y, z], made)
    got, attention = layer(x, return_attention=True)
    assert_close(got.numpy(), expected.reshape(2, 3, 4, heads * v), 1e-10)
    assert_close(attention.numpy(), k, 1e-10)


def test_parameters():
    """Those of timm's first lambda layer in lambda_resnet26t: 256 channels, r = 9."""
    layer = LambdaLayer()
    layer.build((None, None, None, 256))
    trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert trainable == 256 * (64 + 16 + 64) + 2 * (64 + 64) + 81 * 16 + 16


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_heads": 0}, "`num_heads` must be a positive integer.*num_heads=0"),
        ({"key_dim": 0}, "`key_dim` must be a positive integer.*key_dim=0"),
        ({"value_depth": 6}, "`value_depth` must be divisible by `num_heads`.*num_heads=4"),
        ({"scope": 4}, "`scope` must be odd.*scope=4"),
        ({"table_size": (3, 0)}, "`table_size` must be a positive integer.*table_size=0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LambdaLayer(**arguments)


def test_a_table_of_unknown_size():
    with pytest.raises(ValueError, match="`table_size` or `scope` must be given.*unknown at build"):
        LambdaLayer(scope=None).build((None, None, 5, 8))
