"""The example of each command, as its help and its page show it, in one folder."""

from __future__ import annotations

import signal
import socket
import subprocess
import time

import keras
import numpy as np
import pytest
from PIL import Image

from helpers.paths import environment
from helpers.photos import CLASSES, texture
from keras_attn.cli import COMMANDS

EXAMPLES = {command.__name__.rsplit(".", 1)[-1]: command.EXAMPLE for command in COMMANDS}
# What a command needs comes before it.
ORDER = (
    "checks", "models", "recipes", "completion", "train", "finetune", "insert", "evaluate",
    "report", "export", "kit", "explain", "predict", "runs", "demo", "serve",
    "tensorflow_model_server",
)  # fmt: skip
PORT = 8501  # as the examples have it
RUN = "keras-attn train --recipe digits_se_resnet8 --epochs 1 --out runs/digits"


def test_every_command_is_in_the_order():
    assert sorted(ORDER) == sorted(EXAMPLES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the examples speak of: photos, a run, a model."""
    here = tmp_path_factory.mktemp("here")
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (here / "photos" / name).mkdir(parents=True)
        for i in range(5):
            Image.fromarray(texture(rng, name)).save(here / "photos" / name / f"{i}.jpg")
    (here / "more").mkdir()
    for path in ("cat.jpg", "cat.png", "more/1.jpg"):
        Image.fromarray(texture(rng, "dots")).save(here / path)
    (here / ".local/share/bash-completion/completions").mkdir(parents=True)
    keras.applications.ResNet50(weights=None).save(here / "resnet50.keras")
    shell(here, RUN)
    return here


def shell(folder, command):
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=environment(HOME=str(folder)),
        check=True,
        capture_output=True,
        text=True,
    )


@pytest.mark.docs
@pytest.mark.parametrize("name", ORDER)
def test_example(folder, name):
    if name in ("serve", "tensorflow_model_server"):
        assert served(folder, EXAMPLES[name]) == 0
    else:
        shell(folder, EXAMPLES[name])


def served(folder, command):
    """Starts a server, waits for its port, and ends it; its exit code."""
    server = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=folder, env=environment(HOME=str(folder))
    )
    try:
        for _ in range(600):
            assert server.poll() is None, command
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", PORT)) == 0:
                    break
            time.sleep(0.2)
        server.send_signal(signal.SIGTERM)
        return server.wait(60)
    finally:
        server.kill()
