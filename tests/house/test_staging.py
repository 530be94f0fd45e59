"""What is written beside its place: whole or not there, and no left-overs of the dead."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from keras_attn import _staging
from keras_attn._staging import LOCK, PREFIX, staging, written_whole


def left_over(folder, name, *files):
    work = folder / f"{PREFIX}{name}"
    work.mkdir(parents=True)
    for file in files:
        (work / file).write_text("half")
    return work


def test_left_overs_of_the_dead_are_cleared_and_those_of_the_living_are_not(tmp_path):
    left_over(tmp_path, "killed", LOCK, "saved_model.pb")
    left_over(tmp_path, "killed-before-its-lock")
    elsewhere = left_over(tmp_path / "elsewhere", "x", "file")
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{PREFIX}file").write_text("no folder")
    (tmp_path / ".hidden").mkdir()
    with staging(tmp_path / "a") as first, staging(tmp_path / "b") as second:
        (first / "file").write_text("first")
        assert (first / "file").read_text() == "first" and second.is_dir()
        kept = {"elsewhere", ".hidden", f"{PREFIX}link", f"{PREFIX}file", first.name, second.name}
        assert set(os.listdir(tmp_path)) == kept
    assert set(os.listdir(tmp_path)) == kept - {first.name, second.name}
    assert (elsewhere / "file").exists() and not (elsewhere / LOCK).exists()


def test_a_killed_process_leaves_no_lock(tmp_path):
    """The module stands alone, so that this starts quickly."""
    code = (
        "import runpy, sys, os, signal\n"
        f"module = runpy.run_path({_staging.__file__!r})\n"
        "with module['staging'](sys.argv[1]) as work:\n"
        "    (work / 'file').write_text('half'); print(work, flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "m")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        there = Path(child.stdout.readline().decode().strip())
        with staging(tmp_path / "n"):
            assert there.is_dir()
        child.kill()
        child.wait()
    assert there.is_dir()
    with staging(tmp_path / "n"):
        assert not there.exists()
    assert os.listdir(tmp_path) == []


def test_many_at_once_lose_nothing(tmp_path):
    """Each clears left-overs while the others begin and end, and the parent comes and goes."""
    wrong = []

    def work(number):
        for i in range(40):
            try:
                with staging(tmp_path / "base" / f"{number}-{i}") as folder:
                    (folder / "file").write_text("x")
                    assert (folder / "file").read_text() == "x"
            except Exception as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert list(tmp_path.glob("base/*")) == list(tmp_path.glob("base/.*")) == []


def test_a_failure_leaves_what_was_there_and_names_the_file(tmp_path):
    place = tmp_path / "a" / "b" / "file"
    with pytest.raises(OSError, match="No space left on device.*/a/b/file'"), written_whole(place):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileNotFoundError, match="something else"), written_whole(tmp_path / "file"):
        Path("something else").read_text()
    assert (tmp_path / "file").read_text() == "old"


def test_a_link_stays_one_and_what_is_no_file_is_written_to(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "far" / "file")
    with written_whole(tmp_path / "link") as path:
        path.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far" / "file").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    with written_whole(tmp_path / "pipe") as path:
        assert path == tmp_path / "pipe"


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    """Then nothing can be known to be a left-over, and all stays."""

    def refuses(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(_staging.fcntl, "flock", refuses)
    other = left_over(tmp_path, "others")
    with written_whole(tmp_path / "file") as path:
        path.write_text("x")
    assert other.is_dir() and (tmp_path / "file").read_text() == "x"
