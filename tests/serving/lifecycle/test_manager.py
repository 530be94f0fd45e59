"""Versions come and go while requests run; what is broken leaves what serves as it is."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time

import numpy as np
import pytest

from helpers import serving_models
from keras_attn.serving import ServedModel
from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.lifecycle.manager import ModelManager, Target
from keras_attn.serving.lifecycle.poller import Poller
from keras_attn.serving.lifecycle.servable import State
from keras_attn.serving.lifecycle.version_policy import ALL, ModelEntry, VersionPolicy


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A SavedModel whose answer to x is 2 x; copies of it are its versions."""
    return serving_models.save_doubler(tmp_path_factory.mktemp("saved") / "1")


@pytest.fixture
def base(tmp_path, saved):
    add(tmp_path / "m", 1, saved)
    return tmp_path / "m"


@pytest.fixture
def manager():
    made = ModelManager(max_load_retries=0)
    yield made
    made.stop()


def add(base, version, saved):
    """As an export does: beside, then moved into place."""
    work = base / f".{version}"
    shutil.copytree(saved, work)
    os.replace(work, base / str(version))


def entry(base, **arguments):
    return ModelEntry("m", base, **arguments)


def answer(manager, **target):
    with manager.use(Target("m", **target)) as model:
        outputs = model.predict({"x": np.float32([3])})
        return model.version, outputs["y"].tolist()


def states(manager):
    return {one.version: one.state for one in manager.statuses(Target("m"))}


def test_a_new_version_takes_over(manager, base, saved, caplog):
    caplog.set_level(logging.INFO)
    manager.configure([entry(base)])
    assert answer(manager) == (1, [6.0])
    add(base, 10, saved)
    add(base, 9, saved)
    manager.poll()
    assert answer(manager) == (10, [6.0])
    assert states(manager) == {1: State.END, 10: State.AVAILABLE}
    assert "version 1 of m is unloaded" in caplog.text
    shutil.rmtree(base / "10")  # what is removed gives way to what is there
    manager.poll()
    assert answer(manager)[0] == 9


def test_a_version_that_is_used_stays_until_it_has_answered(manager, base, saved):
    manager.configure([entry(base)])
    with manager.use(Target("m")) as model:
        add(base, 2, saved)
        manager.poll()
        assert states(manager) == {1: State.UNLOADING, 2: State.AVAILABLE}
        assert model.predict({"x": np.float32([3])})["y"].tolist() == [6.0]
        with pytest.raises(ServingError, match=r"Specific\(m, 1\)"):
            answer(manager, version=1)
    assert states(manager) == {1: State.END, 2: State.AVAILABLE}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (VersionPolicy(), [4]),
        (VersionPolicy(latest=2), [3, 4]),
        (ALL, [1, 2, 3, 4]),
        (VersionPolicy(specific=frozenset({2, 3, 7})), [2, 3]),
    ],
)
def test_policies(tmp_path, policy, expected):
    for name in ("1", "2", "3", "004", "x5", ".6"):
        (tmp_path / name).mkdir()
    assert list(entry(tmp_path, policy=policy).find()) == expected


def test_labels(base, saved):
    add(base, 2, saved)
    manager = ModelManager()
    both = entry(base, policy=ALL)
    manager.configure([both])
    manager.configure([entry(base, policy=ALL, labels={"stable": 1, "canary": 2})])
    assert answer(manager, label="stable")[0] == 1
    assert answer(manager, label="canary")[0] == 2
    with pytest.raises(ServingError, match="Unrecognized servable version label: other"):
        answer(manager, label="other")
    with pytest.raises(ServingError, match="assign label to version 7 of model m, which is not"):
        manager.configure([entry(base, policy=ALL, labels={"stable": 7})])
    assert answer(manager, label="stable")[0] == 1  # nothing has changed
    manager.stop()

    early = ModelManager(allow_labels_for_unavailable=True)
    early.configure([entry(base, labels={"stable": 2})])  # a new label may come first
    with pytest.raises(ServingError, match="version 7"):
        early.configure([entry(base, labels={"stable": 7})])  # one that is in use may not
    early.stop()


def test_models_come_and_go(manager, base, tmp_path, saved):
    add(tmp_path / "n", 1, saved)
    manager.configure([entry(base), ModelEntry("n", tmp_path / "n")])
    with manager.use(Target("n")) as model:
        assert model.name == "n"
    manager.configure([ModelEntry("n", tmp_path / "n")])
    with pytest.raises(ServingError, match=r"Latest\(m\)"):
        answer(manager)
    with pytest.raises(ServingError) as caught:
        manager.configure([ModelEntry("n", tmp_path / "n"), ModelEntry("o", tmp_path / "none")])
    assert caught.value.code == Code.UNKNOWN
    assert caught.value.message.startswith("1 model(s) did not become available: {{o due to error")
    with manager.use(Target("n")) as model:
        assert model.version == 1


def half_copied(folder):
    shutil.rmtree(folder / "variables")


def truncated_graph(folder):
    file = folder / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:-100])


def corrupt_variables(folder):
    (file,) = (folder / "variables").glob("*.data*")
    data = bytearray(file.read_bytes())
    data[1] ^= 0xFF
    file.write_bytes(data)


def truncated_variables(folder):
    (file,) = (folder / "variables").glob("*.data*")
    file.write_bytes(b"")


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    "damage", [half_copied, truncated_graph, corrupt_variables, truncated_variables, empty]
)
def test_a_broken_version_leaves_the_old_one(manager, base, saved, caplog, damage):
    manager.configure([entry(base)])
    add(base, 2, saved)
    damage(base / "2")
    for _ in range(3):
        manager.poll()
    assert answer(manager) == (1, [6.0])
    failed, served = manager.statuses(Target("m"))
    assert (failed.version, failed.state, served.state) == (2, State.END, State.AVAILABLE)
    assert "must hold a SavedModel that can be loaded" in failed.error.message
    assert caplog.text.count("version 2 of m can't be loaded") == 1  # said once, not at each poll
    assert "m goes on with version 1" in caplog.text

    shutil.rmtree(base / "2")  # the copy is mended: it is tried again at once
    add(base, 2, saved)
    manager.poll()
    assert answer(manager) == (2, [6.0])


@pytest.mark.parametrize("damage", [half_copied, truncated_graph, empty])
def test_a_start_while_the_newest_is_broken(manager, base, saved, caplog, damage):
    """As a worker starts that takes the place of another, which serves version 1 still."""
    for version in (2, 3, 4):
        add(base, version, saved)
    for version in (3, 4):
        damage(base / str(version))
    manager.configure([entry(base)])
    assert answer(manager) == (2, [6.0])
    assert "m is served by its older version 2" in caplog.text
    manager.poll()
    assert states(manager) == {2: State.AVAILABLE, 3: State.END, 4: State.END}
    shutil.rmtree(base / "4")
    add(base, 4, saved)
    manager.poll()
    assert answer(manager) == (4, [6.0])
    assert states(manager)[2] == State.END


def test_no_other_version_stands_in_for_one_that_is_named(manager, base, saved):
    add(base, 2, saved)
    half_copied(base / "2")
    with pytest.raises(ServingError, match="did not become available"):
        manager.configure([entry(base, policy=VersionPolicy(specific=frozenset({2})))])


def test_a_copy_that_grows_is_tried_again_when_it_has_grown(manager, base, saved):
    manager.configure([entry(base)])
    (base / "2").mkdir()
    for file in sorted(p.relative_to(saved) for p in saved.rglob("*") if p.is_file()):
        assert answer(manager)[0] == 1
        (base / "2" / file).parent.mkdir(exist_ok=True)
        shutil.copy(saved / file, base / "2" / file)
        manager.poll()
    assert answer(manager) == (2, [6.0])


def test_a_base_path_that_is_put_right(manager, base, tmp_path, saved):
    (tmp_path / "wrong" / "1").mkdir(parents=True)
    (tmp_path / "wrong" / "1" / "saved_model.pb").write_text("no model")
    with pytest.raises(ServingError, match="did not become available"):
        manager.configure([entry(tmp_path / "wrong")])
    assert states(manager) == {1: State.END}
    manager.configure([entry(base)])
    assert answer(manager) == (1, [6.0])


def test_retries(base, saved):
    tries = []

    def loader(folder, *, name, version):
        tries.append(version)
        if version == 2 and tries.count(2) < 3:
            raise OSError(28, "No space left on device")
        return ServedModel(folder, name=name, version=version)

    manager = ModelManager(loader, max_load_retries=2, load_retry_seconds=0.0)
    manager.configure([entry(base)])
    add(base, 2, saved)
    for _ in range(4):
        manager.poll()
    assert tries == [1, 2, 2, 2]
    assert answer(manager)[0] == 2
    manager.stop()


def test_a_full_disk_and_folders_that_are_gone(manager, base, saved, monkeypatch, caplog):
    manager.configure([entry(base)])

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ModelEntry, "find", full)
        manager.poll()
    assert "can't be read: [Errno 28] No space left on device" in caplog.text
    shutil.rmtree(base)
    for _ in range(2):
        manager.poll()
    assert caplog.text.count("has no version to serve; what serves stays") == 1
    assert answer(manager) == (1, [6.0])
    add(base.parent / "m", 3, saved)
    manager.poll()
    assert answer(manager)[0] == 3


def test_no_request_is_lost_in_the_switches(base, saved):
    manager = ModelManager()
    manager.configure([entry(base)])
    stop, failures, counts = threading.Event(), [], []

    def ask():
        count = 0
        while not stop.is_set():
            try:
                assert answer(manager)[1] == [6.0]
            except Exception as error:
                failures.append(error)
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    with Poller("poller", 0.01, manager.poll):
        for version in range(2, 8):
            add(base, version, saved)
            deadline = time.monotonic() + 30
            while answer(manager)[0] != version and time.monotonic() < deadline:
                time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    manager.stop()
    assert failures == []
    assert min(counts) > 0
    assert set(states(manager).values()) == {State.END}


def test_a_model_without_a_name(manager):
    with (
        pytest.raises(ServingError, match="ModelSpec has no name specified"),
        manager.use(Target("")),
    ):
        pass
    with pytest.raises(ServingError, match="Could not find any versions of model m"):
        manager.statuses(Target("m"))
