"""What needs no network works without Keras and TensorFlow, and says nothing that isn't ours."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from helpers.paths import ROOT
from keras_attn.cli import main

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "jax", "torch"):
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture
def run(tmp_path):
    """Runs the command line in a process that can import neither."""
    (tmp_path / "blocker").mkdir()
    (tmp_path / "blocker" / "sitecustomize.py").write_text(BLOCKER)
    (tmp_path / "work" / "pictures").mkdir(parents=True)
    (tmp_path / "work" / "file").write_text("")
    path = os.pathsep.join([str(tmp_path / "blocker"), str(ROOT), os.environ.get("PYTHONPATH", "")])

    def run(command):
        return subprocess.run(
            [sys.executable, "-m", "keras_attn.cli", *command.split()],
            cwd=tmp_path / "work",
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("--help", "commands:"),
        ("--version", "keras-attn 0."),
        ("train --help", "--learning-rate"),
        ("serve --help", "--grpc-port"),
        ("models", "se_resnet50"),
        ("models SEResNet50", "se_resnet50"),
        ("models --weights", "timm/"),
        ("models timm/legacy_senet154.in1k --weights", "Top-1: 81.32 %"),
        ("models --attention", "cbam"),
        ("recipes", "digits_se_resnet8"),
        ("recipes cifar10_se_resnet20", "Result: "),
        ("recipes cifar10_se_resnet20 --out my.toml", "my.toml"),
        ("runs .", "no runs in ."),
        ("completion fish", "complete -c keras-attn"),
    ],
)
@pytest.mark.thorough
def test_what_is_in_the_package(run, command, printed):
    done = run(command)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("trian", 2, "train"),
        ("train --model resnet20_cifar --epochs x --out o", 2, "--epochs"),
        ("train --model resnet20_cifar --epochs 0 --out o", 1, "must be a positive integer"),
        ("train --model resnet20_cifar --limit 0 --out o", 1, "must be a positive integer"),
        ("train --model resnet20_cifar --data ./none --out o", 1, "which is not there"),
        ("train --model resnet20_cifar --data digts --out o", 1, "did you mean digits?"),
        ("train --model resnet20_cifar --data cifar10 --data-dir none --out o", 1, "prepared"),
        ("train --model resnet20_cifar --out file/o", 1, "is a file"),
        ("train --model resnet20_cifra --out o", 1, "did you mean resnet20_cifar"),
        ("train --recipe cifar10_resnet21 --out o", 1, "cifar10_resnet20"),
        ("train --config none.toml --out o", 1, "none.toml"),
        ("finetune --weights none --out o", 1, "must be the folder of a run"),
        ("finetune --weights none --model nope --out o", 1, "keras-attn models"),
        ("finetune --weights pictures --model resnet50 --out o", 1, "a folder"),
        (
            "finetune --weights timm/seresnet50.ra_in1k --model SEResNet50 --out o",
            1,
            "did you mean timm/seresnet50.ra2_in1k?",
        ),
        ("insert none.keras --attention se --where x --out o.keras", 1, "which is not there"),
        ("insert file --attention sse2 --where x --out o.keras", 1, "did you mean sse?"),
        ("runs none", 1, "must be a folder of runs"),
        ("evaluate none", 1, "must be the folder of a run"),
        ("export none --out o", 1, "must be the folder of a run"),
        ("predict --run none file", 1, "must be the folder of a run"),
        ("explain none file --out o.png", 1, "must be the folder of a run"),
        ("serve none", 1, "which is neither"),
        ("serve pictures", 1, "which has none"),
        ("kit --model none --out o", 1, "must be a base folder"),
        ("tensorflow_model_server", 1, "are empty!"),
    ],
)
def test_mistakes(run, command, code, message):
    done = run(command)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    line = done.stderr.splitlines()[-1]
    assert line.startswith("keras-attn") and ": error: " in line and message in line


def test_what_a_network_needs_is_said(run):
    done = run("models resnet20_cifar --count")
    assert done.returncode == 1
    assert "keras_attn needs Keras 3 with a backend" in done.stderr


@pytest.mark.thorough
def test_stderr_has_our_lines_alone_and_the_layers_are_registered(tmp_path):
    """In a process with TensorFlow, which reads the run that this one has trained."""
    train = "train --recipe digits_se_resnet8 --limit 64 --image-size 8 --batch-size 32 --epochs 1"
    assert main([*train.split(), "--out", str(tmp_path / "run")]) == 0
    done = subprocess.run(
        [sys.executable, "-m", "keras_attn.cli", "evaluate", str(tmp_path / "run")],
        env={
            **{name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert "on 360 held-out images" in done.stdout
    assert all(line.startswith("keras-attn: ") for line in done.stderr.splitlines())


# For processes that import Keras and don't compute: NumPy's backend, which needs JAX.
LIGHT = {**os.environ, "KERAS_BACKEND": "numpy", "PYTHONPATH": str(ROOT)}
CRASHES = """
import os, sys
from keras_attn.cli.library import leave_out_start_up_lines
leave_out_start_up_lines()
os.write(2, b"I0000 00:00:1795645368.117122    8195 port.cc:153] oneDNN is on\\n")
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called ...\\n")
os.write(2, b"E0000 00:00:1795645368.117122    8195 x.cc:1] no such file\\nF0000 last words")
print("I0000 is a word of ours", file=sys.stderr)
{end}
"""


@pytest.mark.backend
@pytest.mark.parametrize(
    ("end", "code"), [("pass", 0), ("os.abort()", -6)], ids=["jax-ends", "jax-aborts"]
)
def test_errors_and_last_words_get_through(end, code):
    done = subprocess.run(
        [sys.executable, "-c", CRASHES.format(end=end)],
        env={**LIGHT, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code
    assert "E0000 00:00:1795645368.117122    8195 x.cc:1] no such file\n" in done.stderr
    assert "F0000 last words" in done.stderr and "I0000 is a word of ours" in done.stderr
    assert "oneDNN is on" not in done.stderr


@pytest.mark.parametrize(
    ("process", "at_once"),
    [
        pytest.param(["-c", "{code}"], True, id="jax-code", marks=pytest.mark.backend),
        (["-m", "keras_attn.cli", "--version"], False),
        pytest.param(["{file}"], True, id="jax-file", marks=pytest.mark.backend),
    ],
)
def test_only_our_own_process_waits(tmp_path, process, at_once):
    """`import keras_attn` registers the layers in every other process."""
    code = (
        "import sys, keras_attn._version as v; sys.stdout.write(str('keras' in sys.modules)); "
        "import keras; keras.saving.get_registered_object('keras_attn>SqueezeExcite').__name__"
    )
    (tmp_path / "program.py").write_text(code)
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            *(part.format(code=code, file=tmp_path / "program.py") for part in process),
        ],
        env=LIGHT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert (" keras_attn.layers" in done.stderr) == at_once


THREADS = """
import sys, threading
import keras_attn

assert "keras_attn.weights.choice" not in sys.modules
found = []
threads = [
    threading.Thread(target=lambda: found.append(keras_attn.weights.SETS)) for _ in range(8)
]
[each.start() for each in threads], [each.join() for each in threads]
assert len(found) == 8 and all(each is found[0] for each in found)
"""
ROOMS = """
import sys
import keras_attn as ka

assert "choose" in dir(ka.weights) and not hasattr(ka.weights, "chose")
assert "keras_attn.export" not in sys.modules and "export" in dir(ka)
assert ka.export.export_saved_model and not hasattr(ka, "exports")
assert ka.data.synthetic and ka.explain.truth and ka.training.recipes.Recipe
assert "kit" in dir(ka.serving) and ka.serving.kit.write_kit
"""
STAR = "from keras_attn.weights import *; assert choose and Metadata"


@pytest.mark.parametrize("code", [THREADS, ROOMS, STAR], ids=["threads", "rooms", "star"])
def test_what_waits_is_there_when_it_is_asked_for(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
