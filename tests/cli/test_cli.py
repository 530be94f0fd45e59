"""The command line: the whole path, help that reads well, and one clear line for each mistake."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from helpers import serving_models
from keras_attn.cli import main
from keras_attn.cli.deployment import export
from keras_attn.cli.training import recipes
from keras_attn.export.exported import exported
from keras_attn.serving import start_server
from keras_attn.training.callbacks import Progress

COMMANDS = [
    "train",
    "recipes",
    "finetune",
    "insert",
    "evaluate",
    "export",
    "serve",
    "tensorflow_model_server",
    "kit",
    "predict",
    "explain",
    "report",
    "models",
    "runs",
    "checks",
    "completion",
    "demo",
]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    command = (
        f"train --recipe digits_se_resnet8 --limit 256 --epochs 1 --batch-size 64 --out {folder}"
    )
    assert main(command.split()) == 0
    return folder


@pytest.fixture(scope="module")
def image_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "noise.png"
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3)).astype("uint8")
    Image.fromarray(pixels).save(path)
    return path


def test_what_attention_costs(capsys):
    assert main(["models", "--attention"]) == 0
    printed = capsys.readouterr().out
    assert "cbam" in printed and "2,532,592" in printed
    assert "below plain ResNet-50 on small data sets" in printed


def test_which_weights_there_are(capsys):
    assert main(["models", "--weights"]) == 0
    printed = capsys.readouterr().out
    for source in ("timm/", "keras/", "image-classifiers/", "attention-module/", "phamquiluan/"):
        assert source in printed
    assert main(["models", "seresnet50.a", "--weights"]) == 0
    assert len(capsys.readouterr().out.split("\n\n")[0].splitlines()) == 4
    assert main(["models", "timm/legacy_senet154.in1k", "--weights"]) == 0
    card = capsys.readouterr().out
    assert "Top-1: 81.32 % (ImageNet-1k, validation, 224x224), as its source publishes it" in card
    assert main(["models", "nothing of the kind", "--weights"]) != 0
    assert "must be in the name of a network that has weights" in capsys.readouterr().err


def test_train_leaves_a_run(run_folder):
    record = json.loads((run_folder / "run.json").read_text())
    assert record["model"]["name"] == "se_resnet8_cifar"
    assert record["data"]["train_size"] == 256
    assert {path.name for path in run_folder.iterdir()} == {
        "model.keras",
        "history.csv",
        "run.json",
        "plots",
    }
    assert len(list((run_folder / "plots").glob("*.png"))) == 4


def test_a_finished_run_is_not_replaced(run_folder, capsys):
    before = {path: path.read_bytes() for path in run_folder.rglob("*.*")}
    command = "train --recipe digits_se_resnet8 --limit 256 --epochs 1 --batch-size 64"
    assert main([*command.split(), "--out", str(run_folder)]) == 0
    output = capsys.readouterr()
    assert f"{run_folder} is finished already" in output.err
    assert "on 360 held-out images" in output.out
    assert main([*command.split(), "--seed", "1", "--out", str(run_folder)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "seed was 0 and is 1" in error and "`--overwrite`" in error
    assert {path: path.read_bytes() for path in run_folder.rglob("*.*")} == before


@pytest.mark.thorough
def test_plots_that_a_kill_prevented_are_drawn_later(run_folder, capsys):
    """The last one is missing: the run is finished, and its plots are not."""
    plot = run_folder / "plots" / "reliability.png"
    before = plot.read_bytes()
    plot.unlink()
    command = "train --recipe digits_se_resnet8 --limit 256 --epochs 1 --batch-size 64"
    assert main([*command.split(), "--no-plots", "--out", str(run_folder)]) == 0
    assert not plot.exists()
    assert main([*command.split(), "--out", str(run_folder)]) == 0
    assert "is finished already" in capsys.readouterr().err
    assert plot.read_bytes() == before


@pytest.mark.thorough
def test_a_stopped_training_says_how_to_go_on(tmp_path, monkeypatch, capsys, no_xla):
    command = [
        "train",
        "--recipe",
        "digits_se_resnet8",
        "--limit",
        "64",
        "--image-size",
        "8",
        "--epochs",
        "2",
    ]
    command += ["--batch-size", "32", "--no-plots", "--out", str(tmp_path / "run")]
    on_epoch_end = Progress.on_epoch_end

    def stops(self, epoch, logs=None):
        on_epoch_end(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_epoch_end", stops)
        assert main(command) == 130
    printed = capsys.readouterr().err
    assert "read digits: 424 images, 10 classes, 64 to train on, 360 held out" in printed
    assert "stopped; the same command goes on after the last epoch that was finished" in printed
    assert main(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1:5] == ["unfinished", "-", "-", "1"]
    assert main(command) == 0
    assert "going on after epoch 1 of the training that was stopped" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "" and "Epoch" not in printed.out


def test_evaluate_repeats_the_runs_numbers(run_folder, capsys):
    assert main(["evaluate", str(run_folder), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    recorded = json.loads((run_folder / "run.json").read_text())["metrics"]
    assert printed["accuracy"] == pytest.approx(recorded["accuracy"], abs=1e-4)
    assert printed["images"] == 360


@pytest.mark.slow
def test_a_folder_of_images_is_split_again_as_it_was(tmp_path, capsys, no_xla):
    rng = np.random.default_rng(0)
    for name, brightness in (("dark", 0), ("light", 150)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 100, (8, 9, 3)).astype("uint8") + np.uint8(brightness)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    command = (
        f"train --model resnet20_cifar --data {tmp_path}/photos --image-size 8 --test-share 0.3 "
        f"--epochs 1 --batch-size 4 --augment --seed 3 --no-plots --out {tmp_path}/run"
    )
    assert main(command.split()) == 0
    capsys.readouterr()
    assert main(["evaluate", f"{tmp_path}/run"]) == 0
    output = capsys.readouterr()
    assert "on 12 held-out images" in output.out and "warning" not in output.err
    (tmp_path / "photos" / "dark" / "3.png").unlink()
    assert main(["evaluate", f"{tmp_path}/run"]) == 0
    assert "warning: the data differ" in capsys.readouterr().err


@pytest.mark.thorough
def test_export_serve_predict(run_folder, image_file, tmp_path, capsys):
    """A server's answer is the run's own."""
    base = tmp_path / "served" / "digits"
    (base / "6").mkdir(parents=True)
    command = ["export", str(run_folder), "--out", str(base), "--samples"]
    assert main([*command, str(image_file)]) == 1
    assert "`--samples` must be a folder of image files" in capsys.readouterr().err
    samples = tmp_path / "samples"
    samples.mkdir()
    shutil.copy(image_file, samples / "one.png")
    assert main([*command, str(samples)]) == 0
    assert sorted(path.name for path in base.iterdir()) == ["6", "7"]
    assert (base / "7" / "assets.extra" / "samples" / "00_one.jpg").is_file()
    capsys.readouterr()
    assert main(["export", str(run_folder), "--out", str(base), "--version", "7"]) == 1
    assert "`--version` must be a new one" in capsys.readouterr().err
    assert main(["predict", "--run", str(run_folder), str(image_file)]) == 0
    here = capsys.readouterr().out
    labels = base / "7" / "assets" / "labels.txt"
    with start_server(base) as server:
        arguments = ["--server", server.model_url, "--labels", str(labels), str(image_file)]
        assert main(["predict", *arguments]) == 0
        there = capsys.readouterr().out
        assert main(["predict", "--server", server.model_url, str(image_file), "--top", "1"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 1
    rows = [[line.split() for line in printed.splitlines()] for printed in (here, there)]
    assert [name for _, name in rows[0]] == [name for _, name in rows[1]] and len(rows[0]) == 3
    for (ours, _), (served, _) in zip(*rows, strict=True):  # two readers, one level of 255 apart
        assert float(ours.rstrip("%")) == pytest.approx(float(served.rstrip("%")), abs=0.05)


def test_export_says_what_was_left_out(capsys):
    export._say("quantized", exported("net.tflite", ["XNNPACK refuses it: node 7"]))
    printed = capsys.readouterr()
    assert printed.out == "quantized: net.tflite\n"
    assert printed.err == "keras-attn: note: net.tflite: XNNPACK refuses it: node 7\n"


@pytest.mark.slow
def test_export_to_other_formats(run_folder, image_file, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(8):
        shutil.copy(image_file, pictures / f"{i}.png")
    files = {kind: tmp_path / f"net.{kind}" for kind in ("onnx", "tflite", "int8.tflite")}
    arguments = ["export", str(run_folder), "--out", str(tmp_path / "digits"), "--no-fold"]
    arguments += ["--onnx", str(files["onnx"]), "--tflite", str(files["tflite"])]
    arguments += ["--int8", str(files["int8.tflite"])]
    assert main(arguments) == 1
    assert "`--int8` and `--calibrate` must be given together" in capsys.readouterr().err
    assert main([*arguments, "--calibrate", str(pictures)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(file.is_file() for file in files.values())
    assert main([*arguments, "--overwrite", "--calibrate", str(tmp_path / "nothing")]) == 1
    assert "`--calibrate` must be a folder of image files" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "digits").iterdir()] == ["1"]


@pytest.mark.thorough
def test_finetune_a_run(run_folder, tmp_path, capsys, no_xla):
    out = tmp_path / "tuned"
    arguments = ["finetune", "--weights", str(run_folder), "--out", str(out), "--limit", "64"]
    arguments += ["--epochs", "3", "--unfreeze-every", "1", "--through", "stage1"]
    assert main([*arguments, "--layer-decay", "0.5", "--batch-size", "32"]) == 0
    printed = capsys.readouterr().out
    assert "trained predictions (" in printed
    assert "trained stage2, stage3, predictions" in printed
    report = json.loads((out / "finetune.json").read_text())
    assert report["source"] == str(run_folder)
    assert len(report["phases"]) == 3
    assert main(["evaluate", str(out)]) == 0
    assert main(["finetune", "--weights", "nothing", "--out", str(out)]) == 1
    assert "`--weights` must be the folder of a run" in capsys.readouterr().err


def test_explain_a_run(run_folder, image_file, tmp_path, capsys):
    out = tmp_path / "gate.png"
    command = ["explain", str(run_folder), str(image_file), "--out", str(out)]
    assert main([*command, "--layer", "nowhere"]) == 1
    assert "`--layer` must be the name of a layer" in capsys.readouterr().err
    assert main([*command, "--class", "eleven"]) == 1
    assert "must be the number of a class" in capsys.readouterr().err
    assert not out.exists()
    for flags in (["--class", "3"], ["--layer", "stage3_block1_se"], ["--method", "hires_cam"]):
        assert main([*command, *flags, "--overwrite"]) == 0
        assert capsys.readouterr().out == f"{out}\n"
        with Image.open(out) as picture:
            assert len(picture.getcolors(10**6)) > 20


def test_explain_the_gates_of_a_run(run_folder, image_file, tmp_path, capsys):
    out = tmp_path / "gates.png"
    command = ["explain", str(run_folder), "--profiles", "--out", str(out)]
    assert main([*command, "--class", "3"]) == 1
    assert "it goes with `--layer` and `--data` alone" in capsys.readouterr().err
    assert main(command[:2] + command[3:]) == 1
    assert "must be an image file, or several. Received: none" in capsys.readouterr().err
    assert main(command) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["layer", "channels", "selectivity"]
    assert printed[-1] == str(out)
    with Image.open(out) as picture:
        assert picture.format == "PNG"


def test_help(capsys):
    for command in [[], *[[name] for name in COMMANDS]]:
        with pytest.raises(SystemExit) as end:
            main([*command, "--help"])
        assert end.value.code == 0
        text = capsys.readouterr().out
        assert len(text.splitlines()) > 5
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize(
    "command, message",
    [
        ("train --model nope --out o", "`--model` must be"),
        ("train --config none.toml --out o", "none.toml"),
        ("train --recipe cifar10_resnet21 --out o", "did you mean cifar10_resnet20"),
        ("train --model resnet20_cifar --out o --augment zoom", "in which 'zoom' is none"),
        ("train --model resnet20_cifar --out o --label-noise 2", "`--label-noise` must be"),
        (
            "train --model resnet20_cifar --out o --epochs 0",
            "`--epochs` must be a positive integer",
        ),
        ("train --model resnet20_cifar --out o --batch-size 0", "`--batch-size` must be"),
        (
            "train --model resnet20_cifar --out o --data cifar10 --data-dir none",
            "`--data-dir` must",
        ),
        ("evaluate none", "`SOURCE` must be the folder of a run"),
        ("export none --out o", "`SOURCE` must be the folder of a run"),
        ("serve none", "`SOURCE` must be the base folder of a model"),
        ("predict --run none x.png", "`--model` must be the folder of a run"),
        ("predict --server http://127.0.0.1:9/v1/models/m x.png", "can't be reached"),
        ("explain none x.png --out y.png", "`SOURCE` must be the folder of a run"),
    ],
)
def test_mistakes(command, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (8, 8)).save("x.png")
    assert main(command.split()) == 1
    err = capsys.readouterr().err
    assert err.startswith("keras-attn: error: ") and message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.rglob("*.keras"))


def test_images_that_are_none(run_folder, tmp_path, capsys):
    (tmp_path / "text.png").write_text("not an image")
    assert main(["predict", "--run", str(run_folder), str(tmp_path / "text.png")]) == 1
    assert "`IMAGE` must be an image that Pillow reads" in capsys.readouterr().err
    assert main(["predict", "--run", str(run_folder), str(tmp_path / "none.png")]) == 1
    assert "which is not there" in capsys.readouterr().err


def test_a_corrupt_run(tmp_path, capsys):
    (tmp_path / "run.json").write_text('{"data": {"class_names": ["a"]}}')
    (tmp_path / "model.keras").write_bytes(b"not a zip")
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "served")]) == 1
    err = capsys.readouterr().err
    assert "model.keras can't be read as a Keras model" in err and len(err.splitlines()) == 1
    assert not (tmp_path / "served").exists()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"data": {"class_names": ["a"] * 10}}, "it has no `data.image_shape`"),
        (
            {"data": {"class_names": ["a"] * 10, "image_shape": "32"}},
            "`data.image_shape` must be three positive integers. Received: '32'",
        ),
        (
            {"data": {"class_names": ["a"], "image_shape": [32, 32, 3]}},
            "`data.class_names` must have a name for each of 10 classes. Received: 1",
        ),
        (
            {"data": {"class_names": "0123456789", "image_shape": [32, 32, 3]}},
            "`data.class_names` must be strings. Received: '0123456789'",
        ),
    ],
)
def test_a_record_that_lacks_something(run_folder, image_file, tmp_path, capsys, record, message):
    shutil.copy(run_folder / "model.keras", tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert main(["predict", "--run", str(tmp_path), str(image_file)]) == 1
    err = capsys.readouterr().err
    assert message in err and str(tmp_path / "run.json") in err
    assert len(err.splitlines()) == 1


def test_an_image_that_is_a_bomb(run_folder, tmp_path, capsys, monkeypatch):
    Image.new("1", (300, 300)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert main(["predict", "--run", str(run_folder), str(tmp_path / "bomb.png")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "error: " in last and "bomb.png" in last and "exceeds limit" in last


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "out of memory"),
        (MemoryError("Unable to allocate 9 TiB"), "out of memory: Unable to allocate 9 TiB"),
        (OSError(28, "No space left on device", "x"), "[Errno 28] No space left on device: 'x'"),
        (ValueError("two\n  lines"), "two lines"),
        (tf.errors.AbortedError(None, None, "disk\nnode ..."), "AbortedError: disk ("),
        (KeyError("image_shape"), "KeyError: 'image_shape'"),
        (zipfile.BadZipFile("no zip"), "BadZipFile: no zip"),
        (RecursionError(), "RecursionError"),
    ],
    ids=repr,
)  # fmt: skip
def test_every_error_is_one_line(error, line, monkeypatch, capsys):
    def fails(_):
        raise error

    monkeypatch.setattr(recipes, "run", fails)
    assert main(["recipes"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"keras-attn: error: {line}") and len(err.splitlines()) == 1
    if isinstance(error, KeyError):
        assert "test_cli.py:" in err
    monkeypatch.setenv("KERAS_ATTN_TRACEBACK", "1")
    assert main(["recipes"]) == 1
    err = capsys.readouterr().err.splitlines()
    assert err[0].startswith("Traceback") and err[-1].startswith(f"keras-attn: error: {line}")


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch, capsys):
    (tmp_path / "costs.csv").write_text("old")
    monkeypatch.setattr(csv, "writer", lambda *_, **__: 1 / 0)
    command = ["models", "mnasnet", "--csv", str(tmp_path / "costs.csv")]
    assert main([*command, "--overwrite"]) == 1
    assert (tmp_path / "costs.csv").read_text() == "old"
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_predict_by_a_server_that_takes_files(image_file, tmp_path, capsys):
    serving_models.save_images(tmp_path / "images" / "1")
    with start_server(tmp_path / "images") as server:
        assert main(["predict", "--server", server.model_url, str(image_file), "--top", "1"]) == 0
    assert capsys.readouterr().out.split()[-1] in serving_models.LABELS


def test_labels_name_what_a_server_numbers(image_file, tmp_path, capsys, monkeypatch):
    (tmp_path / "names.txt").write_text("cat\ndog\neel\n")
    (tmp_path / "two.txt").write_text("cat\ndog\n")
    names, numbers = tmp_path / "named" / "1", tmp_path / "numbered" / "1"
    serving_models.save_images(names)
    monkeypatch.setattr(serving_models, "LABELS", ["2", "1", "0"])
    serving_models.save_images(numbers)
    with start_server(names.parent) as server:
        ask = ["predict", "--server", server.model_url, str(image_file)]
        assert main(ask) == 0
        answer = capsys.readouterr().out
        assert main([*ask, "--labels", str(tmp_path / "names.txt")]) == 1
    assert "must have a line for each class that the server numbers" in (capsys.readouterr().err)
    with start_server(numbers.parent) as server:
        ask = ["predict", "--server", server.model_url, str(image_file)]
        assert main([*ask, "--labels", str(tmp_path / "names.txt")]) == 0
        swapped = {"cat": "eel", "eel": "cat", "dog": "dog"}  # number 2 is the third name
        assert capsys.readouterr().out == re.sub("cat|dog|eel", lambda x: swapped[x[0]], answer)
        assert main([*ask, "--labels", str(tmp_path / "two.txt")]) == 1
    assert "with 2 lines" in capsys.readouterr().err


def test_a_port_in_use(tmp_path, capsys):
    base = tmp_path / "served"
    serving_models.save_doubler(base / "1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", str(base), "--port", port]) == 1
    assert port in capsys.readouterr().err


def test_wrong_usage_exits_with_two(capsys):
    for command in ("", "finetune", "predict x.png", "models extra arguments", "train --epochs x"):
        with pytest.raises(SystemExit) as end:
            main(command.split())
        assert end.value.code == 2
        capsys.readouterr()


def test_the_installed_command():
    program = Path(sys.executable).with_name("keras-attn")
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("keras-attn 0.")


def test_what_nobody_reads_ends_in_silence(monkeypatch, capfd):
    """As before `| head`; a pipe to another process that breaks is an error."""
    there, here = os.pipe()
    os.close(there)
    with os.fdopen(here, "w") as nobody, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", nobody)
        assert main(["recipes"]) == 141
    assert capfd.readouterr().err == ""

    def breaks(*_):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(recipes, "run", breaks)
    assert main(["recipes"]) == 1
    assert "Broken pipe" in capfd.readouterr().err


@pytest.mark.slow
def test_the_demo_goes_the_whole_way(tmp_path, capsys):
    """Two epochs: the path, not the accuracy, which `make demo` shows."""
    assert main(["demo", "--out", str(tmp_path / "demo"), "--epochs", "2"]) == 0
    printed = capsys.readouterr().out
    assert "6. Drew the attention mask over the image" in printed
    assert "8. Asked its server about horse.png: it says horse with probability" in printed
    listed = [Path(line.strip()) for line in printed.split("The files:\n")[1].splitlines()]
    assert len(listed) == 7
    assert all(path.exists() for path in listed)
    with Image.open(tmp_path / "demo" / "attention.png") as picture:
        assert picture.width > 700
    with socket.socket() as probe:  # the server is stopped
        port = int(printed.split("127.0.0.1:")[1].split("/")[0])
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_demo_says_what_went_wrong(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["demo", "--out", str(tmp_path / "file")]) == 1
    assert "error: `--out` must be in a folder" in capsys.readouterr().err
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--photograph", str(tmp_path / "none.jpg")]) == 1
    assert "error: `--photograph` must be a file" in capsys.readouterr().err
    assert main(["demo", "--out", str(out), "--photograph", str(tmp_path / "file")]) == 1
    assert "must be an image that Pillow reads" in capsys.readouterr().err
    assert not out.exists()


def test_json_for_programs(run_folder, image_file, capsys):
    assert main(["predict", "--run", str(run_folder), str(image_file), "--json", "--top", "2"]) == 0
    [answer] = json.loads(capsys.readouterr().out)
    assert answer["image"] == str(image_file)
    first, second = answer["classes"]
    assert first.keys() == {"class", "probability"} and first["probability"] > second["probability"]
    assert main(["evaluate", str(run_folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 360
