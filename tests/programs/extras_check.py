"""Run by hand and by CI: each extra alone, in an environment of its own, does its smallest job.

    python tests/programs/extras_check.py [EXTRA ...]

For each, all by default: installs the checkout with that extra alone, imports its room and runs
something with it, from another folder. An environment with TensorFlow takes 2 GB for as long as it
is tried; `--keep FOLDER` leaves them there, and uses again what is there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

NETWORK = """
import keras, keras_attn, numpy as np
image = keras.Input((16, 16, 3))
x = keras.layers.Rescaling(1 / 255)(image)
x = keras_attn.layers.CBAM(ratio=2)(keras.layers.Conv2D(4, 3)(x))
x = keras.layers.Dense(2, "softmax")(keras.layers.GlobalAveragePooling2D()(x))
model = keras.Model(image, x, name="net")
"""

# What the extra is for; each is run with `python -c` in an empty folder.
JOBS = {
    "tensorflow": NETWORK
    + """
import keras_attn.training, keras_attn.finetune, keras_attn.export
from keras_attn.cost import count_cost
assert count_cost(model).macs > 0
assert model.predict(np.zeros((1, 16, 16, 3)), verbose=0).shape == (1, 2)
try:
    keras_attn.export.export_saved_model(model, "net")
except ImportError as error:
    assert "keras-attn[export]" in str(error), error
else:
    raise SystemExit("an export without its extra")
""",
    "train": """
from keras_attn.cli import main
assert main("train --recipe digits_se_resnet8 --limit 64 --epochs 1 --batch-size 32 "
            "--tensorboard --out run".split()) == 0
assert main(["evaluate", "run"]) == 0
import numpy as np
from PIL import Image
import keras_attn.explain
Image.fromarray(np.zeros((32, 32, 3), "uint8")).save("image.png")
assert main(["predict", "--run", "run", "image.png"]) == 0
""",
    "report": """
from keras_attn.cli import main
assert main("train --recipe digits_se_resnet8 --limit 64 --epochs 1 --batch-size 32 "
            "--out run".split()) == 0
assert main("report run --out report.html".split()) == 0
assert "<svg" in open("report.html", encoding="utf-8").read()
""",
    "export": NETWORK
    + """
from keras_attn.export import *
import keras_attn.explain
folder = export_saved_model(model, "net")
export_onnx(folder, "net.onnx")
export_tflite(folder, "net.tflite")
""",
    "serving": """
import tensorflow as tf, pathlib
module = tf.Module()
double = tf.function(lambda x: {"y": 2 * x}, [tf.TensorSpec((None,), tf.float32, name="x")])
tf.saved_model.save(module, "double/1", {"serving_default": double.get_concrete_function()})
from keras_attn import serving
from keras_attn.cli import main
with serving.start_server(pathlib.Path("double")) as server:
    assert serving.predict(server.model_url, [1.0, 3.0]) == [2.0, 6.0]
assert main("kit --model double --out kit".split()) == 0
""",
    "hub": """
import os, sys
os.environ["KERAS_BACKEND"] = "jax"
import numpy as np, keras_attn, huggingface_hub
from safetensors.numpy import save_file
save_file({"weight": np.ones((2, 3), "float32")}, "x.safetensors")
print(keras_attn.weights.read_tensors("x.safetensors"))
from keras_attn.cli import main
assert main(["models", "mnasnet"]) == main(["models", "--attention"]) == 0
assert "tensorflow" not in sys.modules
assert main(["models", "mnasnet"]) == main(["models", "--weights", "legacy"]) == 0
""",
}

# Keras needs a backend, which the hub's packages don't bring: the smallest one.
BESIDE = {"hub": ("jax",)}


def run(*command: str | Path, cwd: Path) -> None:
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=clean)
    if done.returncode:
        sys.exit(f"failed with exit code {done.returncode}: {' '.join(map(str, command[:5]))}")


def check(extra: str, folder: Path) -> None:
    """Installs one extra alone into `folder` and runs its job."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    quiet = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(python, *quiet, f"{ROOT}[{extra}]", *BESIDE.get(extra, ()), cwd=folder)
    run(python, *quiet, "--no-deps", "--force-reinstall", ROOT, cwd=folder)
    with tempfile.TemporaryDirectory() as empty:
        run(python, "-c", JOBS[extra], cwd=Path(empty))
    print(f"{extra}: its room imports, and its job is done", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help=f"of {', '.join(JOBS)}")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where environments stay")
    options = parser.parse_args()
    if unknown := set(options.extras) - set(JOBS):
        parser.error(f"EXTRA must be one of {', '.join(JOBS)}. Received: {', '.join(unknown)}")
    for extra in options.extras or JOBS:
        if options.keep:
            check(extra, options.keep.resolve() / extra)
            continue
        with tempfile.TemporaryDirectory() as folder:
            check(extra, Path(folder))


if __name__ == "__main__":
    main()
