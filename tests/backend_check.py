"""Run by path in a process of its own under KERAS_BACKEND: checks the layers on that backend.

Prints one JSON object: case -> check -> "ok" or what went wrong.
"""

import json
import os
import traceback

# TensorFlow stays out of JAX's and PyTorch's processes even where it is installed.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras  # noqa: E402
import layer_contract as contract  # noqa: E402
import numpy as np  # noqa: E402


def check_golden(case):
    golden = contract.load_golden(case)
    layer = case.make_built()
    layer.set_weights(golden["weights"])
    outputs = contract.call(case, layer, golden["input"])
    for got, expected in zip(outputs, golden["outputs"], strict=True):
        contract.assert_close(got, expected)


def check_channels_first(case):
    golden = contract.load_golden(case)
    b, h, w, c = case.shape
    layer = case.make(data_format="channels_first")
    layer.build((b, c, h, w))
    layer.set_weights(golden["weights"])
    x = golden["input"].transpose(0, 3, 1, 2)
    got = contract.call(case, layer, x)
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
    history = model.fit(case.inputs(), np.array([[1.0], [-1.0]]), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all(), history.history
    trainable = [w.path for w in model.trainable_weights]
    for weight, old, new in zip(model.weights, before, model.get_weights(), strict=True):
        if weight.path in trainable:
            assert not np.array_equal(old, new), f"{weight.path} did not move"


def check_bfloat16(case):
    golden = contract.load_golden(case)
    layer = case.make(dtype="mixed_bfloat16")
    layer.build(case.shape)
    layer.set_weights(golden["weights"])
    outputs = layer(golden["input"])
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    got = keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32"))
    expected = golden["outputs"][0]
    assert np.abs(got - expected).max() < 0.1 * np.abs(expected).max()


def run(check, case):
    try:
        check(case)
    except Exception:
        return traceback.format_exc(limit=8)
    return "ok"


if __name__ == "__main__":
    checks = [check_golden, check_channels_first, check_training, check_bfloat16]
    report = {
        case.name: {check.__name__: run(check, case) for check in checks} for case in contract.CASES
    }
    print(json.dumps({"backend": keras.backend.backend(), "report": report}))
