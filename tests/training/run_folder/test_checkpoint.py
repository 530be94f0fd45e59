"""The state of an unfinished training: written whole or not there, refused where it is wrong."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest

from helpers.paths import WITH_HELPERS
from helpers.training import make_state, make_stateful_network
from keras_attn.training.run_folder import checkpoint


def test_a_state_comes_back(tmp_path):
    network = make_stateful_network()
    optimizer = keras.optimizers.AdamW()
    optimizer.build(network.trainable_variables)
    for i, variable in enumerate([*network.variables, *optimizer.variables]):
        variable.assign(np.full(variable.shape, i + 1))
    state = make_state(3, network, optimizer)
    checkpoint.save_state(tmp_path, state)
    read = checkpoint.load_state(tmp_path)
    for field in ("epoch", "history", "arguments", "seconds"):
        assert getattr(read, field) == getattr(state, field)
    other = make_stateful_network()
    other_optimizer = keras.optimizers.AdamW()
    other_optimizer.build(other.trainable_variables)
    checkpoint.put_state(other, other_optimizer, read)
    ours = [*network.variables, *optimizer.variables]
    theirs = [*other.variables, *other_optimizer.variables]
    assert len(ours) == len(theirs) > 20
    assert any("seed" in variable.path for variable in ours)  # Dropout goes on where it was
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_there_may_be_none(tmp_path):
    assert checkpoint.load_state(tmp_path) is None
    checkpoint.discard_state(tmp_path)


def test_the_last_two_are_kept_and_a_broken_one_is_passed_over(tmp_path):
    for epoch in range(1, 5):
        checkpoint.save_state(tmp_path, make_state(epoch))
    folder = tmp_path / checkpoint.FOLDER
    assert sorted(path.name for path in folder.iterdir()) == ["epoch-00003.npz", "epoch-00004.npz"]
    newest = folder / "epoch-00004.npz"
    whole = newest.read_bytes()
    for broken in (b"", whole[:1000], whole[:-30], whole[:500] + b"\xff" + whole[501:]):
        newest.write_bytes(broken)
        assert checkpoint.load_state(tmp_path).epoch == 3
    (folder / "epoch-00003.npz").write_bytes(b"nothing")
    newest.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="No checkpoint in .* can be read"):
        checkpoint.load_state(tmp_path)
    checkpoint.discard_state(tmp_path)
    assert not folder.exists()


def test_a_half_written_file_is_never_read(tmp_path):
    checkpoint.save_state(tmp_path, make_state(1))
    (tmp_path / checkpoint.FOLDER / ".writing.npz").write_bytes(b"half")
    assert checkpoint.load_state(tmp_path).epoch == 1


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from helpers.training import make_state
from keras_attn.training.run_folder import checkpoint
out = Path(sys.argv[1])
checkpoint.save_state(out, make_state(1))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # writing fails as on a full disk
try:
    checkpoint.save_state(out, make_state(2))
except OSError as error:
    print(error)
print(checkpoint.load_state(out).epoch, sorted(p.name for p in (out / "unfinished").iterdir()))
"""


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_state_whole(tmp_path):
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=WITH_HELPERS)
    lines = done.stdout.splitlines()
    assert "The checkpoint of epoch 2 could not be written" in lines[0], done.stderr
    assert "The one before it is whole" in lines[0]
    assert lines[1] == "1 ['epoch-00001.npz']"


def test_other_arguments_are_refused(tmp_path):
    state = make_state()
    same = {"augment": ("crop",), "epochs": 7}
    checkpoint.check_arguments_agree(tmp_path, state, same)
    with pytest.raises(ValueError, match=r"epochs was 7 and is 8.*`resume=False`"):
        checkpoint.check_arguments_agree(tmp_path, state, {**same, "epochs": 8})
    with pytest.raises(ValueError, match=r"ema was None and is 0.9"):
        checkpoint.check_arguments_agree(tmp_path, state, {**same, "ema": 0.9})


def test_another_network_is_refused():
    network = make_stateful_network()
    optimizer = keras.optimizers.SGD()
    optimizer.build(network.trainable_variables)
    state = make_state()  # of AdamW
    before = [variable.numpy() for variable in network.variables]
    with pytest.raises(ValueError, match="checkpoint's optimizer is another"):
        checkpoint.put_state(network, optimizer, state)
    with pytest.raises(ValueError, match="checkpoint's network is another"):
        fewer = dataclasses.replace(state, network=state.network[1:])
        checkpoint.put_state(network, optimizer, fewer)
    for a, b in zip(before, network.variables, strict=True):
        np.testing.assert_array_equal(a, b.numpy())


def test_a_state_with_nan_is_not_written():
    network = make_stateful_network()
    network.layers[1].kernel.assign(np.full((3, 3, 2, 3), np.nan))
    with pytest.raises(FloatingPointError, match=r"weight .*kernel became nan in epoch 2"):
        make_state(2, network)
