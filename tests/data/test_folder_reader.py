"""A folder of images: its two layouts, real PNG and JPEG files, and every way it can be wrong."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_attn.data import file_digest, splits
from keras_attn.data.by_name import load_dataset

RNG = np.random.default_rng(1)
CLASSES = ("disc", "ring", "star")


def write(path, size=(7, 5), mode="RGB", number=None):
    """An image of (H, W) = `size`: noise, or one number everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, *{"RGB": (3,), "RGBA": (4,), "L": ()}[mode])
    pixels = RNG.integers(0, 256, shape) if number is None else np.full(shape, number)
    Image.fromarray(pixels.astype("uint8")).save(path)
    return pixels


def flat(root, count=5, **kwargs):
    """`count` images for each class; the value of each tells class and number."""
    for label, name in enumerate(CLASSES):
        for i in range(count):
            write(root / name / f"{i}.png", number=10 * label + i, **kwargs)
    return root


def in_two(root, held_out="val"):
    for which, count in (("train", 3), (held_out, 2)):
        flat(root / which, count)
    return root


def images_of(split):
    return split.read(np.arange(len(split)))


@pytest.mark.parametrize("held_out", ["test", "val", "validation"])
def test_train_and_held_out_folders(tmp_path, held_out):
    dataset = load_dataset(str(in_two(tmp_path, held_out)))
    assert dataset.name == str(tmp_path) and dataset.class_names == CLASSES
    assert dataset.image_shape == (7, 5, 3)
    for split, count in ((dataset.train, 3), (dataset.test, 2)):
        assert split.labels.tolist() == [label for label in range(3) for _ in range(count)]
        values = [10 * label + i for label in range(3) for i in range(count)]
        images = images_of(split)
        assert images.dtype == np.uint8 and images.shape == (3 * count, 7, 5, 3)
        assert (images == np.array(values)[:, None, None, None]).all()


def test_classes_alone_are_held_out_by_share(tmp_path):
    def numbers(split):
        return images_of(split)[:, 0, 0, 0].tolist()

    flat(tmp_path, 10)
    dataset = load_dataset(tmp_path, test_share=0.3, seed=2)
    train, test = numbers(dataset.train), numbers(dataset.test)
    assert np.bincount(dataset.test.labels).tolist() == [3, 3, 3]
    assert sorted(train + test) == [10 * label + i for label in range(3) for i in range(10)]
    assert [n // 10 for n in test] == dataset.test.labels.tolist()
    again, other = (load_dataset(tmp_path, test_share=0.3, seed=seed) for seed in (2, 3))
    assert numbers(again.test) == test != numbers(other.test)
    assert load_dataset(tmp_path, test_share=0.01).test_size == 3


def test_png_and_jpeg_of_any_mode_become_rgb(tmp_path):
    pixels = {
        "a/0.png": write(tmp_path / "a/0.png"),
        "a/deeper/1.png": write(tmp_path / "a/deeper/1.png", mode="L"),
        "a/2.PNG": write(tmp_path / "a/2.PNG", mode="RGBA"),
    }
    write(tmp_path / "a/3.jpg", number=100)
    write(tmp_path / "a/4.jpeg", mode="L", number=50)
    (tmp_path / "a/notes.txt").write_text("not an image")
    (tmp_path / "a/.hidden.png").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    dataset = load_dataset(tmp_path)
    assert (dataset.train_size, dataset.test_size) == (4, 1)
    for split in (dataset.train, dataset.test):
        for path, image in zip(split.paths, images_of(split), strict=True):
            if path in pixels:
                expected = pixels[path] if pixels[path].ndim == 3 else pixels[path][..., None]
                assert (image == expected[..., :3]).all()
            else:
                assert np.abs(image.astype(int) - (100 if path == "a/3.jpg" else 50)).max() <= 2


def test_resizing(tmp_path):
    write(tmp_path / "a/0.png", (7, 5), number=90)
    write(tmp_path / "a/1.png", (4, 6), number=90)
    dataset = load_dataset(tmp_path, image_size=(3, 2))
    assert dataset.image_shape == (3, 2, 3)
    assert (images_of(dataset.train) == 90).all() and (images_of(dataset.test) == 90).all()


def test_large_splits_are_decoded_on_demand(tmp_path, monkeypatch):
    dataset = load_dataset(in_two(tmp_path))
    kept = images_of(dataset.train)
    assert dataset.train.in_memory() is not None
    monkeypatch.setattr(splits, "CACHE_BYTES", 100)
    dataset = load_dataset(tmp_path)
    assert dataset.train.in_memory() is None
    np.testing.assert_array_equal(images_of(dataset.train), kept)
    rows = np.array([5, 0])
    np.testing.assert_array_equal(dataset.train.read(rows), kept[rows])


def test_limit_noise_and_fingerprint(tmp_path):
    flat(tmp_path, 10)
    whole = load_dataset(tmp_path)
    part = load_dataset(tmp_path, limit=12, seed=0)
    assert part.train_size == 12 and part.test_size == whole.test_size
    assert (images_of(part.train)[:, 0, 0, 0] // 10 == part.train.labels).all()
    noisy = load_dataset(tmp_path, label_noise=0.5)
    assert (noisy.train.labels != whole.train.labels).sum() == 12
    assert noisy.train.paths == whole.train.paths
    resized = load_dataset(tmp_path, image_size=4)
    assert len({d.fingerprint() for d in (whole, part, noisy, resized)}) == 4
    before = whole.fingerprint()
    assert load_dataset(tmp_path).fingerprint() == before
    write(tmp_path / "disc/0.png", (7, 5))  # noise: a longer file
    assert load_dataset(tmp_path).fingerprint() != before


def edit(path):
    """Another pixel in the middle, of the same size in bytes and with the same times."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == times.st_size


@pytest.mark.parametrize("whole_bytes", [None, 0])
def test_an_image_of_the_same_size_in_bytes_is_noticed(tmp_path, monkeypatch, whole_bytes):
    if whole_bytes is not None:  # as of a folder too large to be read whole
        monkeypatch.setattr(file_digest, "WHOLE_BYTES", whole_bytes)
        monkeypatch.setattr(file_digest, "END_BYTES", 40)
    folder = flat(tmp_path / "shapes")
    paths = [folder / "disc/9.bmp", folder / "ring/9.tif", folder / "star/9.ppm"]
    for path in paths:
        write(path)
    seen = {load_dataset(folder, test_share=share).fingerprint() for share in (0.2, 0.4)}
    assert len(seen) == 2
    for path in paths:
        edit(path)
        seen.add(load_dataset(folder).fingerprint())
    write(folder / "disc/1.png", number=77)  # one colour as before: as long, with other contents
    seen.add(load_dataset(folder).fingerprint())
    assert len(seen) == 6


def test_a_copy_with_new_times_is_the_same(tmp_path):
    before = load_dataset(flat(tmp_path / "shapes"))
    shutil.copytree(tmp_path / "shapes", tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*.png"):
        os.utime(path, (1, 1))
    assert load_dataset(tmp_path / "copy").fingerprint() == before.fingerprint()


def test_a_class_of_another_name_and_files_that_change_places_are_noticed(tmp_path):
    folder = flat(tmp_path / "shapes")
    seen = {load_dataset(folder).fingerprint()}
    (folder / "disc").rename(folder / "disk")
    seen.add(load_dataset(folder).fingerprint())
    one, other = folder / "disk/0.png", folder / "ring/0.png"
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
    seen.add(load_dataset(folder).fingerprint())
    assert len(seen) == 3


def test_a_folder_by_a_relative_name(tmp_path, monkeypatch):
    flat(tmp_path / "shapes")
    monkeypatch.chdir(tmp_path)
    for name in ("shapes", "./shapes", "shapes/"):
        assert load_dataset(name).train_size == 12


def spoil(root, path):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(b"no image at all")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "with a subfolder for each class. Received: no subfolder in"),
        (
            lambda root: spoil(flat(root), "ring/9.png"),
            r"with 1 that can't: ring/9.png \(cannot id",
        ),
        (lambda root: (flat(root) / "moon").mkdir(), "no image .* of class 'moon', .*/moon"),
        (lambda root: (in_two(root) / "val/moon").mkdir(), "no image .* class 'moon', .*val/moon"),
        (lambda root: write(in_two(root) / "val/x/0.png"), "Received: no class 'x' in train"),
        (lambda root: write(in_two(root) / "train/x/0.png"), "Received: no class 'x' in val"),
        (lambda root: in_two(in_two(root), "test"), "one of the folders .* test and val"),
        (lambda root: write(flat(root) / "x/0.png"), r"Received: 1 image\(s\) of class 'x'"),
        (
            lambda root: write(flat(root) / "disc/9.png", (3, 5)),
            r"`image_size` is needed for .*\(7, 5\) of disc/0.png, \(3, 5\) of disc/9.png",
        ),
    ],
)
def test_wrong_folders(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_dataset(tmp_path)


def truncate(*paths):
    for path in paths:
        path.write_bytes(path.read_bytes()[:45])  # the header is whole


def test_all_unreadable_files_are_listed(tmp_path):
    root = flat(tmp_path)
    truncate(root / "disc/0.png")
    spoil(root, "ring/1.png")
    message = r"`skip_unreadable=True` leaves out .* 2 that can't: disc/0.png \(.*\), ring/1.png \("
    with pytest.raises(ValueError, match=message):
        load_dataset(root)


def test_unreadable_files_are_left_out_before_any_is_held_out(tmp_path):
    root = flat(tmp_path)
    whole = load_dataset(root)
    truncate(root / "disc/0.png")
    (root / "disc/a.txt").touch()
    (root / ".hidden.txt").touch()
    data = load_dataset(root, skip_unreadable=True)
    assert data.train_size + data.test_size == whole.train_size + whole.test_size - 1
    assert "disc/0.png" not in (*data.train.paths, *data.test.paths)
    assert data.notes == (
        "1 file passed over as no images: 1 .txt",
        "1 file left out as unreadable: disc/0.png",
    )
    assert data.options["skip_unreadable"] is True


def test_a_class_of_which_none_can_be_read(tmp_path):
    root = flat(tmp_path)
    truncate(*(root / "disc").iterdir())
    with pytest.raises(ValueError, match="an image that can be read. Received: class 'disc'"):
        load_dataset(root, skip_unreadable=True)


def test_truncated_files_of_a_large_set_are_left_out_on_demand(tmp_path, monkeypatch):
    root = flat(tmp_path)
    truncate(root / "disc/0.png")
    monkeypatch.setattr(splits, "CACHE_BYTES", 100)
    assert "disc/0.png" not in load_dataset(root, skip_unreadable=True).train.paths
    with pytest.raises(ValueError, match="`path` must be an image .* truncated"):
        images_of(load_dataset(root).train)


@pytest.mark.parametrize(
    ("sizes", "usual", "expected"),
    [
        ([(7, 5)], 32, (7, 5)),
        ([(7, 5), (9, 9)], 32, (32, 32)),
        ([(40, 5)], 32, (32, 32)),
    ],
)
def test_the_usual_size_where_images_differ_or_are_larger(tmp_path, sizes, usual, expected):
    for name in ("a", "b"):
        for i in range(4):
            write(tmp_path / f"{name}/{i}.png", sizes[i % len(sizes)])
    data = load_dataset(tmp_path, usual_size=usual)
    assert data.image_shape == (*expected, 3)
    assert data.options["image_size"] == list(expected)
    assert any("images of 32 x 32" in note for note in data.notes) == (expected == (32, 32))


@pytest.mark.parametrize("name", ["./nowhere", "data/of/mine", "../nowhere", "~/no/where"])
def test_a_folder_that_is_not_there(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="`name` must be a folder of images. Received:"):
        load_dataset(name)
