"""What is in a run's folder already: a finished run, one of other arguments, somebody's files."""

import functools
import json
import logging

import keras
import numpy as np
import pytest
from PIL import Image

from helpers.training import QUICK, Stop, build_model, make_dataset, weights_of
from keras_attn._staging import PREFIX
from keras_attn.training import load_dataset, train
from keras_attn.training.run_folder import architecture, checkpoint
from keras_attn.training.run_folder.ownership import owned

FILES = ("model.keras", "history.csv", "run.json")


@pytest.fixture(scope="module")
def dataset():
    return make_dataset()


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "run"
    return train(build_model, dataset, out, **QUICK, keep_best=True, evaluate_every=2)


@pytest.fixture
def out(finished, tmp_path):
    """A copy of its folder."""
    for path in finished.paths.values():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def again(out, dataset, **changes):
    arguments = {**QUICK, "keep_best": True, "evaluate_every": 2, **changes}
    return train(arguments.pop("build", build_model), dataset, out, **arguments)


def test_the_same_training_again_does_nothing(finished, out, dataset, caplog):
    caplog.set_level(logging.INFO, "keras_attn")
    before = contents(out)
    result = again(out, dataset, callbacks=[Stop(0)], verbose=2)
    assert contents(out) == before
    assert f"{out} is finished already" in caplog.text
    assert result.was_finished and not finished.was_finished
    assert (result.history, result.metrics) == (finished.history, finished.metrics)
    assert result.history["val_loss"][0] is None
    assert {kind: path.name for kind, path in result.paths.items()} == {
        kind: path.name for kind, path in finished.paths.items()
    }
    np.testing.assert_array_equal(weights_of(result), weights_of(finished))


def other_labels(images_and_labels):
    images, labels = images_and_labels
    return images, (labels + 1) % 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 3}, "epochs was 2 and is 3"),
        ({"seed": 1, "batch_size": 4}, "batch_size was 8 and is 4; seed was 0 and is 1"),
        ({"keep_best": False}, "keep_best was True and is False"),
        ({"ema": 0.5, "keep_best": False}, "ema was None and is 0.5"),
        ({"build": lambda: build_model(bias="ones")}, "architecture was '[0-9a-f]+' and is"),
        ({"data": make_dataset(train_size=27)}, "data was '[0-9a-f]+' and is"),
    ],
)
def test_another_training_is_refused(out, dataset, changes, message):
    before = contents(out)
    data = changes.get("data", dataset)
    changes = {key: value for key, value in changes.items() if key != "data"}
    with pytest.raises(ValueError, match=message) as error:
        again(out, data, **changes)
    assert "finished run of a training with other arguments" in str(error.value)
    assert "`overwrite=True`" in str(error.value)
    assert contents(out) == before


def test_overwrite_replaces_it_at_the_end(finished, out, dataset):
    before = contents(out)
    (out / "finetune.json").write_text("{}")
    with pytest.raises(KeyboardInterrupt):
        again(out, dataset, seed=1, keep_best=False, overwrite=True, callbacks=[Stop(1)])
    assert before.items() <= contents(out).items()
    with pytest.raises(ValueError, match="finished run of a training with other"):
        again(out, dataset, seed=1, keep_best=False)
    assert again(out, dataset).was_finished  # the other's unfinished state is no hindrance
    assert (out / checkpoint.FOLDER).is_dir()
    result = again(out, dataset, seed=1, keep_best=False, overwrite=True)
    assert not result.was_finished and len(result.history["loss"]) == 2
    assert sorted(contents(out)) == sorted(FILES)  # best.keras and finetune.json were the other's
    with pytest.raises(ValueError, match="`overwrite` must be a bool. Received: overwrite=1"):
        again(out, dataset, overwrite=1)


@pytest.mark.parametrize(
    "killed_at", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 3, 4))]
)
@pytest.mark.thorough
def test_killed_while_the_files_are_moved(finished, tmp_path, dataset, monkeypatch, killed_at):
    """The run is finished, or the same call ends it: never one's model with another's record."""
    from keras_attn.training.run_folder import runs

    moves = []

    def replace(source, target):
        moves.append(target)
        if len(moves) == killed_at:
            raise KeyboardInterrupt
        source.rename(target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs.os, "replace", lambda source, target: (
            replace(source, target) if source.parent.name.startswith(PREFIX)
            else source.rename(target)
        ))  # fmt: skip
        again(tmp_path, dataset)
    assert not (tmp_path / "run.json").exists()
    (tmp_path / f"{PREFIX}x").mkdir()  # as of a process that is no more
    (tmp_path / f"{PREFIX}x" / "model.keras").write_bytes(b"half")
    result = again(tmp_path, dataset)
    np.testing.assert_allclose(weights_of(result), weights_of(finished), rtol=0, atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES, "best.keras"])


def test_somebody_s_files_stay(dataset, tmp_path):
    (tmp_path / "model.keras").write_bytes(b"mine")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "novel.txt").write_text("Call me Ishmael.")
    message = "`out` must not hold another's files: there is model.keras, but no run.json"
    with pytest.raises(ValueError, match=message):
        train(build_model, dataset, tmp_path, **QUICK)
    assert sorted(contents(tmp_path)) == ["model.keras", "unfinished/novel.txt"]
    (tmp_path / "model.keras").rename(tmp_path / "my.keras")
    train(build_model, dataset, tmp_path, **QUICK, resume=False)
    assert contents(tmp_path)["my.keras"] == b"mine"
    assert [path.name for path in (tmp_path / "unfinished").iterdir()] == ["novel.txt"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", b"", "run.json is not valid JSON"),
        ("run.json", b'{"data": {"class_names": ["a"]}}', "has no `data.name`"),
        ("history.csv", b"", "history.csv is not a run's history"),
        ("history.csv", b"epoch,loss\n1,0.5,7\n", "history.csv is not a run's history"),
        ("history.csv", b"epoch,loss\n1,half\n", "'half' is no number"),
        ("history.csv", b"epoch,loss\n1,0.5\n", "history.csv has 1 of 2 epochs"),
        ("history.csv", None, "history.csv"),
        ("model.keras", b"PK", "model.keras can't be read as a Keras model"),
    ],
)
def test_a_damaged_run_is_named(out, dataset, name, content, message):
    (out / name).unlink()
    if content is not None:
        (out / name).write_bytes(content)
    with pytest.raises((ValueError, OSError), match=message):
        again(out, dataset)


@pytest.mark.thorough
def test_an_image_that_is_replaced_between_stop_and_go_on(tmp_path):
    for name in ("low", "high"):
        for i in range(8):
            path = tmp_path / "photos" / name / f"{i}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (7, 5), (i, 0, 200)).save(path)

    def start(*callbacks):
        data = load_dataset(tmp_path / "photos")
        network = functools.partial(build_model, classes=2)
        return train(network, data, tmp_path / "run", **QUICK, callbacks=callbacks)

    with pytest.raises(KeyboardInterrupt):
        start(Stop(1))
    whole = path.read_bytes()
    Image.new("RGB", (7, 5), (0, 200, 0)).save(path)
    assert path.stat().st_size == len(whole)
    with pytest.raises(ValueError, match="unfinished training.*data was .* and is"):
        start()
    path.write_bytes(whole)  # with a new time
    assert not start().was_finished


@pytest.mark.parametrize("name", [*FILES, "best.keras"])
def test_a_folder_where_a_file_goes(dataset, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=f"`out` must have no folder called {name}"):
        train(build_model, dataset, tmp_path, **QUICK)


def test_a_file_where_a_folder_goes(dataset, tmp_path):
    (tmp_path / "unfinished").write_text("")
    with pytest.raises(ValueError, match="`out` must have no file called unfinished"):
        train(build_model, dataset, tmp_path, **QUICK)


def test_a_second_training_is_refused_while_one_runs(dataset, tmp_path):
    with owned(tmp_path):  # as another thread's
        from threading import Thread

        errors = []

        def second():
            try:
                train(build_model, dataset, tmp_path, **QUICK)
            except ValueError as error:
                errors.append(str(error))

        thread = Thread(target=second)
        thread.start()
        thread.join()
    assert "in which no other training runs" in errors[0]


def small(filters=4, activation="relu", names=("a", "b"), joined=True):
    image = keras.Input((5, 7, 3))
    x = keras.layers.Conv2D(filters, 3, activation=activation, name=names[0])(image)
    y = keras.layers.Conv2D(filters, 3, activation=activation, name=names[1])(image)
    x = x + y if joined else x + x
    return keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x)))


def test_what_tells_a_network_from_others():
    same = {architecture.architecture(small(names=names)) for names in (("a", "b"), (None, None))}
    assert len(same) == 1 and len(same.pop()) == 64
    frozen = small()
    frozen.get_layer("a").trainable = False
    others = [small(), small(5), small(activation="gelu"), small(joined=False), frozen]
    assert len({architecture.architecture(network) for network in others}) == 5
    names = ("functional_12", "functional", "sequential_3", "resnet_18", "my_functional_1")
    known = ["functional", "functional", "sequential", "resnet_18", "my_functional_1"]
    assert [architecture.name_of(name) for name in names] == known


def test_a_record_of_a_version_without_the_architecture(out, dataset):
    record = json.loads((out / "run.json").read_text())
    del record["architecture"]
    (out / "run.json").write_text(json.dumps(record))
    assert again(out, dataset).was_finished
