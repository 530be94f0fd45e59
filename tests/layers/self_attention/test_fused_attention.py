"""The fused kernels of JAX and PyTorch: the numbers of the layer's other implementations."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.paths import TESTS
from keras_attn.layers import SelfAttention2D

CHECK = """
import json
import keras
import numpy as np
from keras import ops
from keras_attn.layers import SelfAttention2D
from helpers.paths import TESTS

def layer(implementation, relative, dtype):
    layer = SelfAttention2D(
        num_heads=2, key_depth=6, value_depth=10, relative=relative,
        implementation=implementation, dtype=dtype,
    )
    layer.build((None, 5, 3, 7))
    rng = np.random.default_rng(3)
    layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.weights])
    return layer

def compiled(function):  # JAX compiles operation by operation otherwise
    if keras.backend.backend() != "jax":
        return function
    import jax
    return jax.jit(function)

def gradients(layer, x):
    variables = [w.value for w in layer.trainable_variables]
    if keras.backend.backend() == "jax":
        import jax
        def loss(variables, x):
            return ops.sum(layer.stateless_call(variables, [], x)[0] ** 2)
        by_variables, by_x = compiled(jax.grad(loss, argnums=(0, 1)))(variables, x)
        return [*by_variables, by_x]
    import torch
    x = ops.convert_to_tensor(x).requires_grad_()
    return torch.autograd.grad(ops.sum(layer(x) ** 2), [*variables, x])

x = np.random.default_rng(4).normal(size=(3, 5, 3, 7)).astype("float32")
differences = {}
for relative in (True, False):
    full, fused = (layer(name, relative, "float32") for name in ("full", "fused"))
    pairs = zip(gradients(full, x), gradients(fused, x), strict=True)
    pairs = [(compiled(full)(x), compiled(fused)(x)), *pairs]
    pairs = [[ops.convert_to_numpy(v) for v in pair] for pair in pairs]
    scales = [abs(a).max() for a, _ in pairs]
    differences[f"relative={relative}"] = max(
        float(abs(a - b).max() / scale) for (a, b), scale in zip(pairs, scales, strict=True)
    )

def deviate(layer, deviation):  # the logits without positions, by what makes keys and queries
    kernel, output, bias, *others = (np.array(w) for w in layer.get_weights())
    rows = (x.reshape(-1, 7) @ kernel + bias)[:, :12].reshape(3, 15, 2, 2, 3)  # k and q, heads
    logits = np.einsum("bmhd,bnhd->bhmn", rows[:, :, 1], rows[:, :, 0]) * 3**-0.5
    factor = (deviation / logits.std()) ** 0.5
    kernel[:, :12] *= factor
    bias[:12] *= factor
    layer.set_weights([kernel, output, bias, *others])

for dtype, rounding in (("mixed_bfloat16", 2**-8), ("mixed_float16", 2**-11)):
    for relative in (True, False):
        for deviation in (1, 1e2, 1e3):
            full, fused = (layer(name, relative, dtype) for name in ("full", "fused"))
            deviate(full, deviation)
            fused.set_weights(full.get_weights())
            full, fused = (
                ops.convert_to_numpy(ops.cast(compiled(each)(x), "float32"))
                for each in (full, fused)
            )
            differences[f"{dtype}, relative={relative}, {deviation:g}"] = float(
                abs(full - fused).max() / abs(full).max() / rounding
            )
print(json.dumps(differences))
"""


@pytest.mark.backend
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_equals_the_full_form(backend):
    """Outputs and all gradients, with and without positions, and in 16 bits, up to their rounding.

    There the logits deviate by 1, 100 and 1000: keys of 16 bits would move them by more than 1.
    """
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""},
        cwd=TESTS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    differences = json.loads(done.stdout.splitlines()[-1])
    assert differences.pop("relative=True") <= 1e-5
    assert differences.pop("relative=False") <= 1e-5
    assert len(differences) == 12
    # In roundings of the output's dtype: one in each of both forms.
    assert max(differences.values()) <= 2, differences


def test_on_tensorflow_it_is_auto():
    arguments = {"num_heads": 2, "key_depth": 6, "value_depth": 4}
    layer = SelfAttention2D(implementation="fused", **arguments)
    auto = SelfAttention2D(**arguments)
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype("float32")
    layer.build(x.shape)
    auto.build(x.shape)
    auto.set_weights(layer.get_weights())
    assert layer.get_config()["implementation"] == "fused"
    assert_close(layer(x).numpy(), auto(x).numpy(), 1e-7)
    assert layer._chunk(512) is None and layer._chunk(513) is not None
