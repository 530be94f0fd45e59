"""The folder of a run: what is in it, and what is said of a damaged one."""

import csv
import errno
import json
import os
import platform

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_attn
from keras_attn.training import ImageDataset, load_run, train
from keras_attn.training.run_folder.files import written
from keras_attn.training.run_folder.history import write_history
from keras_attn.training.run_folder.runs import save_run


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(0)

    def split(size):
        return rng.integers(0, 256, (size, 3, 5, 1)).astype("uint8"), np.arange(size) % 2

    return ImageDataset.from_arrays(
        split(13), split(7), class_names=("a", "b"), name="noise", seed=4
    )


def build_model():
    layers = [keras.Input((3, 5, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    return keras.Sequential(layers, name="tiny")


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "noise"
    return train(
        build_model,
        dataset,
        out,
        epochs=3,
        batch_size=4,
        learning_rate=1e-4,
        label_smoothing=0.25,
        augment=(),
        jit_compile=False,
        seed=6,
        verbose=0,
    )


@pytest.fixture
def folder(run, tmp_path):
    """A copy to damage."""
    for path in run.paths.values():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_run_json(run, dataset):
    record = json.loads(run.paths["run"].read_text())
    assert record["arguments"] == {
        "epochs": 3,
        "batch_size": 4,
        "optimizer": "sgd",
        "learning_rate": 1e-4,
        "schedule": "cosine",
        "milestones": [0.5, 0.75],
        "warmup": 0.1,
        "learning_rate_factors": {},
        "weight_decay": 1e-3,
        "weight_decay_factors": {},
        "decay_all": False,
        "clip_norm": None,
        "ema": None,
        "accumulation_steps": 1,
        "label_smoothing": 0.25,
        "augment": [],
        "repeats": 1,
        "mixed_precision": None,
        "synchronized": False,
        "strategy": "one-device",
        "jit_compile": False,
        "steps_per_execution": 1,
        "evaluate_every": 1,
        "keep_best": False,
        "patience": None,
        "deterministic": False,
        "seed": 6,
    }
    assert record["data"] == {
        "name": "noise",
        "class_names": ["a", "b"],
        "image_shape": [3, 5, 1],
        "train_size": 13,
        "test_size": 7,
        "seed": 4,
        "options": {},
        "preprocessing": {"crop": None, "interpolation": "bilinear"},
        "fingerprint": dataset.fingerprint(),
    }
    assert record["model"] == {"name": "tiny", "parameters": 32}
    assert record["replicas"] == 1
    assert record["versions"] == {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "keras_attn": keras_attn.__version__,
    }
    assert record["hardware"]["cpu_count"] >= 1 and record["hardware"]["platform"]
    assert record["seconds"] >= 0
    assert record["date"].startswith("20") and record["date"].endswith("+00:00")
    assert record["metrics"] == run.metrics


def test_history_csv(run):
    with open(run.paths["history"], newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name, values in run.history.items():
        assert [float(row[name]) for row in rows] == values


def test_load_run_gives_the_model_back(run):
    model, metadata = load_run(run.paths["model"].parent)
    assert metadata == json.loads(run.paths["run"].read_text())
    for ours, theirs in zip(run.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_failed_write_leaves_the_earlier_run(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(TypeError):  # the last of the files can't be written
        save_run(folder, build_model(), history={"loss": [1.0]}, metadata={"a": object()})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_full_disk_leaves_the_earlier_run_and_nothing_half_written(folder, monkeypatch):
    def half(path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    model = build_model()
    with monkeypatch.context() as patch:
        patch.setattr(model, "save", half)
        message = "The run could not be written into .*: No space left on device. The state"
        with pytest.raises(OSError, match=message):
            save_run(folder, model, history={"loss": [1.0]}, metadata={})
        (folder / "unfinished").mkdir()
        message = r"best\.keras could not be written: No space left"
        best = folder / "unfinished" / "best.keras"
        with pytest.raises(OSError, match=message), written(best) as beside:
            model.save(beside)
        assert list((folder / "unfinished").iterdir()) == []
        (folder / "unfinished").rmdir()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match=r"history\.csv could not be written: No space left"):
        write_history(folder / "history.csv", {"loss": [1.0]})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["model.keras", "run.json"])
def test_load_run_names_a_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"`folder` must be .* which has no {name}"):
        load_run(folder)


def test_load_run_names_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="folder='.*nowhere', which is not there"):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", b'{"date": ', r"run\.json is not valid JSON"),
        ("run.json", b"\xff\xfe\x00", r"run\.json is not valid JSON"),
        ("run.json", b"[]", r"run\.json is not a run's: it has no `data.class_names`"),
        ("run.json", b'{"data": null}', r"run\.json is not a run's"),
        ("model.keras", b"", r"model\.keras can't be read as a Keras model: "),
        ("model.keras", None, r"model\.keras can't be read as a Keras model: "),
    ],
)
def test_load_run_names_a_corrupt_file(folder, name, content, message):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    with pytest.raises(ValueError, match=message) as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)
