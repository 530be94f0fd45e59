"""Training on the JAX backend, in a process that has no TensorFlow."""

import json
import os
import subprocess
import sys

import pytest

QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
SCRIPT = """
import json, sys

class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_datasets"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, NoTensorFlow())
import keras
import numpy as np
from keras_attn.applications import CIFARResNet
from keras_attn.training import evaluate, load_dataset, load_run, train

data = load_dataset("digits", image_size=8, limit=128)

def build_model():
    return CIFARResNet(8, attention="se", input_shape=(8, 8, 3), include_preprocessing=True)

class Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

out = sys.argv[1]
arguments = dict(epochs=2, batch_size=32, augment=("crop", "mixup"), ema=0.5, clip_norm=1.0,
                 accumulation_steps=2, verbose=0)
whole = train(build_model, data, out + "/whole", **arguments)
try:
    train(build_model, data, out + "/run", **arguments, callbacks=[Stop()])
except KeyboardInterrupt:
    pass
again = train(build_model, data, out + "/run", **arguments)
loaded, record = load_run(out + "/run")
for layer in loaded.layers[-1:]:  # so sure that float32 has no number for the right class's share
    layer.kernel.assign(layer.kernel * 1e4)
by_keras = keras.Model(loaded.inputs, loaded.outputs)
by_keras.compile(loss="categorical_crossentropy", metrics=["accuracy"])
labels = keras.utils.to_categorical(data.test.labels, 10)
theirs = by_keras.evaluate(data.test.images.astype("float32"), labels, batch_size=128, verbose=0,
                           return_dict=True)
try:
    train(build_model, data, out + "/other", strategy="mirrored", **arguments)
except ImportError as error:
    message = str(error)
print(json.dumps({
    "backend": keras.backend.backend(),
    "difference": max(
        float(np.abs(a - b).max())
        for a, b in zip(whole.model.get_weights(), again.model.get_weights())
    ),
    "metrics": again.metrics,
    "evaluated": evaluate(again.model, data, batch_size=32),
    "last": {name: again.history["val_" + name][-1] for name in ("loss", "accuracy")},
    "ours": evaluate(loaded, data),
    "theirs": theirs,
    "loss": again.history["loss"],
    "versions": record["versions"],
    "message": message,
}))
"""


@pytest.mark.backend
def test_train_stop_and_go_on(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": QUICK},
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["backend"] == "jax" and "jax" in result["versions"]
    assert len(result["loss"]) == 2
    assert result["difference"] < 1e-5
    assert result["metrics"] == result["last"] == result["evaluated"]
    assert result["ours"] == pytest.approx(result["theirs"], rel=1e-6)
    assert "The strategy 'mirrored' is TensorFlow's" in result["message"]
