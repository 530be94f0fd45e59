"""The commands that look at the installation and at runs, and the one that inserts attention."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_attn.cli import library, main
from keras_attn.cli.inspection import checks


def test_checks(capsys, monkeypatch):
    assert main(["checks", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["versions"]["keras"] == keras.__version__
    assert found["backend"] == "tensorflow" and found["devices"] and not found["problem"]
    monkeypatch.setitem(checks.EXTRAS, "no_such_module", ("hub",))
    assert main(["checks"]) == 0
    printed = capsys.readouterr().out
    assert "lacks no_such_module: pip install 'keras-attn[hub]'" in printed


def test_checks_of_a_broken_installation(capsys, monkeypatch):
    def fails():
        raise ImportError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr(checks, "import_library", fails)
    assert main(["checks", "--json"]) == 1
    assert "libcudart" in json.loads(capsys.readouterr().out)["problem"]


def test_a_training_has_onednn_s_kernels_unless_it_is_told(monkeypatch):
    monkeypatch.setattr(library, "import_library", lambda: None)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    library.import_to_train()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    library.import_to_train()  # once Keras is there it is too late
    assert "TF_ENABLE_ONEDNN_OPTS" not in os.environ
    monkeypatch.delitem(sys.modules, "keras")
    library.import_to_train()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"


def test_runs(tmp_path, capsys):
    record = {
        "date": "2026-11-25T10:00:00+00:00",
        "model": {"name": "se_resnet8_cifar"},
        "data": {"name": "digits"},
        "arguments": {"epochs": 7},
        "metrics": {"accuracy": 0.875, "loss": 0.25},
        "seconds": 90.0,
    }
    for name, text in (("good", json.dumps(record)), ("bad", "no JSON")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    state = tmp_path / "deeper" / "half" / "unfinished"
    state.mkdir(parents=True)
    (state / "epoch-2.npz").write_bytes(b"")
    (state / "history.csv").write_text("epoch,loss\n1,2.0\n2,1.5\n")
    assert main(["runs", str(tmp_path)]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    good = lines[str(tmp_path / "good")]
    assert good[1:5] == ["finished", "se_resnet8_cifar", "digits", "7"]
    assert good[5:8] == ["87.50%", "0.250", "1.500"]
    assert lines[str(tmp_path / "bad")][1] == "unreadable"
    assert lines[str(tmp_path / "deeper" / "half")][1:5] == ["unfinished", "-", "-", "2"]
    assert main(["runs", str(tmp_path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_insert(tmp_path, capsys):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(16, 3, name="conv1")(image)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(16, 3, name="conv2")(x))
    model = keras.Model(image, x)
    model.save(tmp_path / "plain.keras")
    command = ["insert", str(tmp_path / "plain.keras"), "--attention", "se", "--where", "conv?"]
    command += ["--out", str(tmp_path / "se.keras")]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("2 layers inserted, ")
    new = keras.saving.load_model(tmp_path / "se.keras")
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(new(images), model(images))
    assert main(command) == 1
    assert "`--overwrite` replaces it" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--quiet", "--no-identity"]) == 0
    assert capsys.readouterr().err == ""
    new = keras.saving.load_model(tmp_path / "se.keras")
    assert np.abs(new(images) - model(images)).max() > 0.1
    command[5] = "none*"
    assert main([*command, "--overwrite"]) == 1
    assert "`--where`" in capsys.readouterr().err
    assert (tmp_path / "se.keras").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("finetune", "learning-rate", "se_resnet50", "digits_se_resnet8"):
        assert word in script


def test_bash_completes(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    asked = (
        f"source {tmp_path}/script; COMP_WORDS=(keras-attn train --model se_resnet5); COMP_CWORD=3;"
        "complete -p keras-attn | sed 's/.*-F *//' > function;"
        "$(cut -d' ' -f1 function) keras-attn se_resnet5 --model; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, cwd=tmp_path)
    assert sorted(done.stdout.split()) == ["se_resnet50", "se_resnet56_cifar"], done.stderr
