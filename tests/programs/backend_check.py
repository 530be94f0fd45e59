"""Run by path in a process of its own under KERAS_BACKEND: checks the layers on that backend.

Prints one JSON object: case -> check -> "ok" or what went wrong. `--quick` checks one case of each
layer by its golden and in training, `--each-layer` one of each by all checks. With names, only
cases that begin with one of them are checked.
"""

import json
import os
import sys
import traceback

# TensorFlow stays out of JAX's and PyTorch's processes even where it is installed.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# The networks are tiny: XLA's optimizations cost minutes here and gain nothing.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

import keras  # noqa: E402
import numpy as np  # noqa: E402

from helpers import layer_contract as contract  # noqa: E402


def call(case, layer, x, attention=True):
    """The layer's outputs; on JAX compiled whole, as its ops one by one compile for minutes."""
    kwargs = {"return_attention": True} if attention and case.has_attention else {}
    if keras.backend.backend() != "jax":
        return contract.to_numpy(layer(x, **kwargs))
    image = keras.Input(x.shape[1:])
    model = keras.Model(image, layer(image, **kwargs))
    return contract.to_numpy(model.predict_on_batch(x))


def check_golden(case):
    golden = contract.load_golden(case)
    layer = case.make_built()
    layer.set_weights(golden["weights"])
    outputs = call(case, layer, golden["input"])
    for got, expected in zip(outputs, golden["outputs"], strict=True):
        contract.assert_close(got, expected)
    if case.has_attention:  # without it a layer may compute otherwise
        [output] = call(case, layer, golden["input"], attention=False)
        contract.assert_close(output, golden["outputs"][0])


def check_channels_first(case):
    golden = contract.load_golden(case)
    b, h, w, c = case.shape
    layer = case.make(**case.channels_first)
    layer.build((b, c, h, w))
    layer.set_weights(golden["weights"])
    x = golden["input"].transpose(0, 3, 1, 2)
    got = call(case, layer, x)
    contract.assert_close(got[0].transpose(0, 2, 3, 1), golden["outputs"][0])
    symbolic = layer(keras.KerasTensor(x.shape))
    assert tuple(symbolic.shape) == got[0].shape, (symbolic.shape, got[0].shape)
    if case.has_attention:
        expected = golden["outputs"][1]
        attention = got[1]
        if attention.shape != expected.shape:  # a mask or a gate, not a map over places
            attention = attention.transpose(0, 2, 3, 1)
        contract.assert_close(attention, expected)


def check_training(case):
    inputs = keras.Input(case.shape[1:])
    outputs = keras.layers.GlobalAveragePooling2D()(contract.first(case.make_built()(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    before = model.get_weights()
    model.compile("sgd", "mse")
    targets = np.linspace(1, -1, case.shape[0])[:, None]
    history = model.fit(case.inputs(), targets, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all(), history.history
    trainable = [w.path for w in model.trainable_weights]
    for weight, old, new in zip(model.weights, before, model.get_weights(), strict=True):
        if weight.path in trainable and weight.path not in case.zero_gradients:
            assert not np.array_equal(old, new), f"{weight.path} did not move"


def check_bfloat16(case):
    golden = contract.load_golden(case)
    layer = case.make(dtype="mixed_bfloat16")
    layer.build(case.shape)
    layer.set_weights(golden["weights"])
    got = call(case, layer, golden["input"])[0]
    assert str(got.dtype) == "bfloat16"
    got = got.astype("float32")
    expected = golden["outputs"][0]
    assert np.abs(got - expected).max() < 0.1 * np.abs(expected).max()


def run(check, case):
    try:
        check(case)
    except Exception:
        return traceback.format_exc(limit=8)
    return "ok"


if __name__ == "__main__":
    names = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    checks = [check_golden, check_training, check_channels_first, check_bfloat16]
    cases = [c for c in contract.CASES if c.name.startswith(tuple(names) or "")]
    if "--quick" in sys.argv:
        checks = checks[:2]
    if "--quick" in sys.argv or "--each-layer" in sys.argv:
        cases = list({case.layer: case for case in reversed(cases)}.values())
    report = {case.name: {check.__name__: run(check, case) for check in checks} for case in cases}
    print(json.dumps({"backend": keras.backend.backend(), "report": report}))
