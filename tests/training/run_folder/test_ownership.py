"""One owner of a run's folder at a time, however it is spelled, until its process ends."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from keras_attn.training.run_folder import ownership
from keras_attn.training.run_folder.ownership import LOCK_FILE, owned

# The module alone: a process that imports TensorFlow takes seconds to come.
OWNER = """
import importlib.util, pathlib, sys, time
spec = importlib.util.spec_from_file_location("ownership", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with module.owned(pathlib.Path(sys.argv[2])):
    print("owned", flush=True)
    time.sleep(60)
"""


def start_owner(folder):
    command = [sys.executable, "-c", OWNER, ownership.__file__, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "owned\n"
    return process


def test_a_second_owner_is_refused_until_the_first_is_gone(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    process = start_owner(folder)
    try:
        for name in (folder, tmp_path / "link", Path("run"), Path("link", "..", "run")):
            message = rf"`out` must be a folder in which no other.*process {process.pid} trains"
            with pytest.raises(ValueError, match=message), owned(name):
                pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with owned(folder):  # the file that the killed one left is no lock
        assert (folder / LOCK_FILE).exists()
    assert list(folder.iterdir()) == []


def test_the_owner_may_own_it_again_and_another_thread_may_not(tmp_path):
    refused = []

    def other():
        try:
            with owned(tmp_path):
                refused.append(False)
        except ValueError as error:
            refused.append(f"this process ({os.getpid()})" in str(error))

    with owned(tmp_path):
        with owned(tmp_path / ".." / tmp_path.name):
            pass
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert (tmp_path / LOCK_FILE).exists()
    with owned(tmp_path):
        pass
    assert refused == [True]


def test_an_error_gives_it_back(tmp_path):
    with pytest.raises(KeyboardInterrupt), owned(tmp_path):
        raise KeyboardInterrupt
    with owned(tmp_path):
        pass


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(ownership.fcntl, "flock", flock)
    with owned(tmp_path):
        pass
    assert "can't be locked (No locks available)" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_written(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(ownership.os, "open", refuse)
    message = "`out` must be a folder that can be written"
    with pytest.raises(PermissionError, match=message), owned(tmp_path):
        pass
