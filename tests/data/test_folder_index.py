"""What the cache keeps of a folder's files, and what makes it look at one again."""

import os

import numpy as np
import pytest
from PIL import Image

from keras_attn.data.by_name import load_dataset
from keras_attn.data.readers import folder_index
from keras_attn.images.folder import list_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_ATTN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(folder_index, "KEPT_FROM", 1)
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        for i in range(5):
            path = tmp_path / "photos" / name / f"{i}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (9, 8 + i, 3), "uint8")).save(path)
    return tmp_path / "photos"


@pytest.fixture
def looked(monkeypatch):
    """The files that are looked at, and those whose contents are read for a digest."""
    at, read = [], []

    def look(root, paths, decode):
        at.extend(paths)
        return original(root, paths, decode)

    def digest(root, paths):
        read.extend(paths)
        return of_files(root, paths)

    original, of_files = folder_index._look_at_some, folder_index.digest_files
    monkeypatch.setattr(folder_index, "_look_at_some", look)
    monkeypatch.setattr(folder_index, "digest_files", digest)
    return at, read


def load(folder):
    return load_dataset(folder, image_size=6)


def test_the_second_start_looks_at_nothing(folder, looked):
    at, read = looked
    first = load(folder)
    fingerprint = first.fingerprint()
    assert len(at) == len(read) == 10
    again = load(folder)
    assert again.train.paths == first.train.paths and again.fingerprint() == fingerprint
    assert len(at) == len(read) == 10


def test_names_that_sort_around_the_slash(folder):
    """A folder's files are found between those of its neighbours, in the order of parts."""
    names = ("a", "a b", "a-b", "a.b", "a0", "a/sub", "a/!", "a\1")
    for name in names:
        path = folder / name / "x y.bmp"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
        Image.new("RGB", (8, 9)).save(path.with_name("z.bmp"))
    found = list_folder(folder).images
    assert list(found) == sorted(found, key=lambda path: path.split("/")) and len(found) == 26
    data = load(folder)
    for label, name in enumerate(data.class_names):
        own = [
            path
            for split in (data.train, data.test)
            for path, each in zip(split.paths, split.labels, strict=True)
            if each == label
        ]
        assert sorted(own) == sorted(path for path in found if path.split("/")[0] == name)


def test_sizes_in_the_order_of_their_first_files(folder):
    (folder / "a/1.bmp").write_bytes(b"no image")
    Image.new("RGB", (8, 9)).save(folder / "b/4.bmp")
    index = folder_index.FolderIndex(folder, list_folder(folder).images)
    index.look(decode=False)
    assert list(index.sizes().items()) == [
        ((9, 8), "a/0.bmp"), ((9, 10), "a/2.bmp"), ((9, 11), "a/3.bmp"), ((9, 12), "a/4.bmp"),
        ((9, 9), "b/1.bmp"),
    ]  # fmt: skip


def test_what_has_changed_is_looked_at_again(folder, looked):
    at, read = looked
    before = load(folder).fingerprint()
    path = folder / "a/3.bmp"
    times, content = path.stat(), bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)  # of the same size, and with the same time of modification
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    (folder / "b/0.bmp").unlink()
    (folder / "b/9.bmp").write_bytes((folder / "b/1.bmp").read_bytes())
    at.clear(), read.clear()
    assert load(folder).fingerprint() != before
    assert sorted(at) == sorted(read) == ["a/3.bmp", "b/9.bmp"]


def test_what_can_not_be_read_is_kept_too(folder, looked):
    at, _ = looked
    (folder / "a/2.bmp").write_bytes(b"no image")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"with 1 that can't: a/2.bmp \(cannot identify"):
            load(folder)
    assert at.count("a/2.bmp") == 1
    data = load_dataset(folder, image_size=6, skip_unreadable=True)  # decodes all, once
    assert data.train_size + data.test_size == 9
    at.clear()
    load_dataset(folder, image_size=6, skip_unreadable=True)
    assert not at


def test_a_cache_that_can_not_be_used_is_none(folder, looked, monkeypatch, tmp_path):
    (tmp_path / "no_folder").touch()
    monkeypatch.setenv("KERAS_ATTN_CACHE", str(tmp_path / "no_folder"))
    for _ in range(2):
        assert load(folder).train_size == 8
    assert len(looked[0]) == 20
