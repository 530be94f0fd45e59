"""The README's examples, run as they stand, and its claims about the command line."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pytest

from helpers.paths import ROOT
from keras_attn.applications import MODELS
from keras_attn.cli import make_parser

README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
]


def run(code, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert len(code.strip().splitlines()) <= 14  # ten lines and their imports
    names = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_there_are_three_examples():
    assert len(PYTHON) == 3


def test_the_layers(tmp_path, monkeypatch):
    model = run(PYTHON[0], tmp_path, monkeypatch)["model"]
    assert {name: x.shape for name, x in model.output.items()} == {
        "features": (None, 64),
        "mask": (None, 16, 16, 64),
    }


def test_the_path(tmp_path, monkeypatch, capsys):
    run(PYTHON[1], tmp_path, monkeypatch)
    last = capsys.readouterr().out.strip().splitlines()[-1]
    probabilities, label = re.fullmatch(r"\[(.*)\] (\d)", last).groups()
    probabilities = [float(number) for number in probabilities.split(",")]
    assert len(probabilities) == 10
    assert sum(probabilities) == pytest.approx(1, abs=1e-4)
    assert (tmp_path / "served/digits/1/saved_model.pb").is_file()


def test_attention_in_a_trained_network(tmp_path, monkeypatch):
    names = run(PYTHON[2], tmp_path, monkeypatch)
    network, with_attention = names["network"], names["with_attention"]
    new = {layer.name for layer in with_attention.layers} - {layer.name for layer in network.layers}
    assert len(new) == 6  # blocks in conv4
    assert {layer.name for layer in network.layers} <= {
        layer.name for layer in with_attention.layers
    }
    image = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype("float32")
    np.testing.assert_array_equal(network(image), with_attention(image))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command):
    program, *arguments = shlex.split(command)
    if program == "make":
        makefile = (ROOT / "Makefile").read_text()
        assert re.search(rf"^{arguments[0]}:", makefile, flags=re.MULTILINE)
    else:
        assert program == "keras-attn"
        parsed = make_parser().parse_args(arguments)
        if arguments[0] != "kit":  # whose model is a folder
            assert getattr(parsed, "model", None) in {None, *MODELS}


def test_ci_runs_the_readmes_test_command():
    assert " make test\n" in (ROOT / ".ci" / "run").read_text()
