"""Runs that version 0.1.0 left, before its options were a dataclass: they load, and go on.

`earlier_version/` holds what `train` wrote there with `OPTIONS` from `make_dataset()`: a run that
has ended, and one that was stopped after its first epoch. It is not made anew.
"""

import io
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from helpers.training import QUICK, SHAPE, Stop, make_dataset, weights_of
from keras_attn.training import TrainingConfig, load_run, train
from keras_attn.training.config import defaults
from keras_attn.training.run_folder.checkpoint import differences

OPTIONS = {
    **QUICK, "epochs": 3, "augment": ("crop", "flip"), "schedule": "step", "milestones": (0.4, 0.8),
    "clip_norm": 1.0, "label_smoothing": 0.1, "learning_rate_factors": {"dense*": 0.5},
    "evaluate_every": 2, "keep_best": True,
}  # fmt: skip


def build_model():
    inputs = keras.Input(SHAPE)
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="stem_conv")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(3, activation="softmax", name="dense_head")(x)
    return keras.Model(inputs, x, name="tiny")


@pytest.fixture
def earlier(tmp_path):
    """A copy of both."""
    return Path(shutil.copytree(Path(__file__).with_name("earlier_version"), tmp_path / "runs"))


def test_a_finished_run_loads(earlier):
    again = train(build_model, make_dataset(), earlier / "finished", **OPTIONS, callbacks=[Stop(0)])
    assert again.was_finished
    arguments = load_run(earlier / "finished")[1]["arguments"]
    quiet = {"verbose": 0}
    assert TrainingConfig(**arguments, **quiet) == TrainingConfig(**OPTIONS).filled_in()
    with pytest.raises(ValueError, match="label_smoothing was 0.1 and is 0.2"):
        changed = {**OPTIONS, "label_smoothing": 0.2}
        train(build_model, make_dataset(), earlier / "finished", **changed)


@pytest.mark.thorough
def test_an_unfinished_one_goes_on(earlier):
    epochs = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    config = TrainingConfig(**OPTIONS)
    dataset = make_dataset()
    result = train(build_model, dataset, earlier / "unfinished", config, callbacks=[watch])
    assert epochs == [1, 2] and not result.was_finished
    whole = train(build_model, dataset, earlier / "finished", config)
    np.testing.assert_allclose(weights_of(result), weights_of(whole), rtol=0, atol=1e-5)
    records = [load_run(earlier / name)[1] for name in ("finished", "unfinished")]
    assert list(records[0]) == list(records[1])
    later = {"patience": None, "repeats": 1}  # options that the version didn't have
    assert {**records[0]["arguments"], **later} == records[1]["arguments"]


def test_an_option_that_an_earlier_version_did_not_have(earlier):
    """It was at its default then."""
    path = earlier / "finished" / "run.json"
    record = json.loads(path.read_text())
    del record["arguments"]["steps_per_execution"]
    path.write_text(json.dumps(record))
    state = earlier / "unfinished" / "unfinished" / "epoch-00001.npz"
    with np.load(io.BytesIO(state.read_bytes())) as file:
        arrays = dict(file)
    about = json.loads(arrays["about"].tobytes())
    del about["arguments"]["steps_per_execution"]
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), "uint8")
    np.savez(state, **arrays)
    dataset = make_dataset()
    for name in ("finished", "unfinished"):
        with pytest.raises(ValueError, match="steps_per_execution was 1 and is 3"):
            train(build_model, dataset, earlier / name, **OPTIONS, steps_per_execution=3)
        again = train(build_model, dataset, earlier / name, **OPTIONS)
        assert again.was_finished == (name == "finished")


def test_defaults_are_for_what_is_asked_alone():
    assert differences({"source": "a"}, {"source": "b"}) == ["source was 'a' and is 'b'"]
    assert defaults()["batch_size"] == 128 and defaults()["weight_decay_factors"] == {}
    assert differences({}, {"clip_norm": None, "augment": ("crop",)}) == []
