"""Photographs: parts of their own pixels, the same by TensorFlow and by Pillow, and restarts."""

import dataclasses
import io
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from helpers.marks import rest_thorough
from helpers.paths import WITH_HELPERS
from keras_attn.data import splits
from keras_attn.data.batches.boxes import NUMBERS, draw_box
from keras_attn.data.batches.decoder import Decoder
from keras_attn.data.batches.photographs import draw_box_in_graph, photograph_reader
from keras_attn.data.batches.sequence import EvaluationSequence, TrainingSequence
from keras_attn.data.batches.tensorflow_pipeline import evaluation_batches, training_batches
from keras_attn.data.batches.workers import start_workers, usable_cores
from keras_attn.data.by_name import load_dataset
from keras_attn.data.encoded import picture_of
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.readers.records import RecordSplit, array_record_places, tfrecord_places
from keras_attn.images import Preprocessing

SIZE = (32, 24)
KEYS = ("image", "label")
RNG = np.random.default_rng(2)


def picture(height, width):
    coarse = Image.fromarray(RNG.integers(0, 256, (7, 6, 3), "uint8"))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(number):
    tags = Image.Exif()
    tags[0x0112] = number
    return {"exif": tags.tobytes()}


# Name -> file; those of TensorFlow's way first, whose chroma and edges are JPEG's own.
FILES = {
    "a/wide.jpg": encoded(picture(75, 100)),
    "a/tall.jpg": encoded(picture(131, 67), quality=60),
    "a/small.jpg": encoded(picture(21, 37)),
    "a/grey.jpg": encoded(picture(60, 61).convert("L")),
    "a/ink.jpg": encoded(picture(60, 61).convert("CMYK")),
    "a/progressive.jpg": encoded(picture(80, 70), progressive=True),
    "b/long.jpg": encoded(picture(20, 190)),
    "b/upright.jpg": encoded(picture(75, 100), **turned(1)),
    "b/turned.jpg": encoded(picture(75, 100), **turned(6)),
    "b/padded.jpg": encoded(picture(75, 100)) + b"\0\0",
    "b/clear.png": encoded(picture(50, 40).convert("RGBA"), "PNG"),
    "b/other.webp": encoded(picture(50, 40), "WEBP"),
}


@pytest.fixture
def folder(tmp_path):
    for which in ("train", "test"):
        for name, data in FILES.items():
            path = tmp_path / "photos" / which / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return tmp_path / "photos"


def load(folder, **options):
    return load_dataset(folder, image_size=SIZE, **options)


def write_records(folder, kind):
    """The training images of the folder in two files of records."""
    split = load(folder).train
    examples = []
    for row, label in enumerate(split.labels):
        image, _ = split.source(row).load()
        features = {
            "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
            "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        }
        example = tf.train.Example(features=tf.train.Features(feature=features))
        examples.append(example.SerializeToString())
    files = [str(folder.parent / f"{kind}-{i}") for i in range(2)]
    for file, part in zip(files, (examples[:5], examples[5:]), strict=True):
        if kind == "tfrecord":
            with tf.io.TFRecordWriter(file) as writer:
                for example in part:
                    writer.write(example)
        else:
            from array_record.python.array_record_module import ArrayRecordWriter

            writer = ArrayRecordWriter(file, "group_size:1")
            for example in part:
                writer.write(example)
            writer.close()
    places = tfrecord_places(files) if kind == "tfrecord" else array_record_places([5, 7])
    return RecordSplit(
        preprocessing=split.preprocessing,
        is_varied=True,
        files=tuple(files),
        places=places,
        keys=KEYS,
        identity="here",
        num_classes=2,
    )


@pytest.fixture(params=rest_thorough(["files", "tfrecord", "array_record"]))
def photographs(request, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_ATTN_CACHE", str(tmp_path / "cache"))
    data = load(folder)
    if request.param == "files":
        return data
    records = write_records(folder, request.param)
    return ImageDataset("records", data.class_names, data.image_shape, records, records)


def assert_alike(ours, theirs, what=""):
    difference = np.abs(np.asarray(ours).astype(int) - np.asarray(theirs).astype(int))
    assert difference.max() <= 1 and (difference > 0).mean() <= 0.04, what


def test_boxes_are_the_same_in_the_graph():
    draw = tf.function(draw_box_in_graph)
    for _ in range(300):
        numbers = RNG.random(NUMBERS, "float32")
        height, width = (int(side) for side in RNG.integers(1, 600, 2))
        box = draw_box(numbers, height, width)
        assert tuple(draw(numbers, tf.constant([height, width])).numpy()) == box
        top, left, rows, columns = box
        assert 0 <= top <= height - rows and 0 <= left <= width - columns
        assert rows >= 1 and columns >= 1


def test_a_box_by_hand():
    numbers = np.full(NUMBERS, 0.5, "float32")  # of area 0.54, as wide as tall, in the middle
    assert draw_box(numbers, 100, 100) == (14, 14, 73, 73)
    # Never fits: the centre, of three to four at most.
    assert draw_box(np.ones(NUMBERS, "float32") * 0.999, 10, 90) == (0, 38, 10, 13)


@pytest.mark.parametrize("parts", [True, False], ids=["trained", "evaluated"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_each_file_is_read_as_by_pillow(folder, parts, interpolation):
    split = load(folder, interpolation=interpolation).train
    read = tf.function(photograph_reader(split, parts=parts), autograph=False)
    how = split.preprocessing
    assert how == Preprocessing(SIZE, crop=0.875, interpolation=interpolation)
    for row, path in enumerate(split.paths):
        numbers = RNG.random(NUMBERS, "float32")
        image, label = read(tf.constant(row, tf.int64), "", tf.constant(numbers))
        whole, _ = picture_of(split.source(row), 3)
        expected = how.fit_picture(whole)
        if parts:
            expected = how.fit_part(whole, draw_box(numbers, whole.height, whole.width))
        assert image.dtype == tf.uint8 and label.numpy() == split.labels[row]
        assert_alike(image, expected, path)


def test_a_large_set_is_evaluated_as_a_small_one(photographs, monkeypatch):
    kept = [images.numpy() for images, _ in evaluation_batches(photographs.test, 5)]
    monkeypatch.setattr(splits, "CACHE_BYTES", 100)
    fresh = photographs.test.with_preprocessing(Preprocessing(SIZE)).with_preprocessing(
        photographs.test.preprocessing
    )
    assert fresh.in_memory() is None
    found = list(evaluation_batches(fresh, 5))
    assert_alike(np.concatenate([images for images, _ in found]), np.concatenate(kept))
    labels = np.concatenate([labels for _, labels in found])
    np.testing.assert_array_equal(labels, photographs.test.labels)


def test_a_part_is_of_the_file_s_own_pixels(folder):
    """A twelfth of 75 x 100 pixels is not blurred by a resizing of the whole before."""
    split = load(folder).train
    numbers = np.zeros(NUMBERS, "float32")
    numbers[1::2] = 0.5
    box = draw_box(numbers, 75, 100)
    assert box == (0, 38, 24, 24)
    image, _ = photograph_reader(split, parts=True)(
        tf.constant(split.paths.index("train/a/wide.jpg"), tf.int64), "", tf.constant(numbers)
    )
    whole = np.asarray(Image.open(io.BytesIO(FILES["a/wide.jpg"])))
    expected = Image.fromarray(whole[:24, 38:62]).resize(SIZE[::-1], Image.Resampling.BILINEAR)
    assert_alike(image, expected)


def batches(dataset, count):
    return [(images.numpy(), labels.numpy()) for images, labels in dataset.take(count)]


def assert_same(ours, theirs):
    for (images, labels), (other_images, other_labels) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


@pytest.mark.parametrize(
    "augment",
    [("random_resized_crop", "flip"), pytest.param(("crop",), marks=pytest.mark.slow)],
    ids=len,
)
def test_passes_restarts_and_replicas(photographs, augment, monkeypatch):
    monkeypatch.setattr(splits, "CACHE_BYTES", 100)
    dataset = dataclasses.replace(
        photographs, train=photographs.train.subset(np.arange(11)), options={}
    )
    options = {"augment": augment, "seed": 3}
    whole = batches(training_batches(dataset, 4, **options), 7)  # 2 batches in a pass
    assert_same(batches(training_batches(dataset, 4, **options), 7), whole)
    assert all(images.shape == (4, *SIZE, 3) for images, _ in whole)
    for start in (1, 2, 5):
        rest = batches(training_batches(dataset, 4, start_step=start, **options), 7 - start)
        assert_same(rest, whole[start:])
    parts = [
        batches(
            training_batches(dataset, 4, replicas=range(i, i + 1), num_replicas=2, **options), 7
        )
        for i in range(2)
    ]
    together = [
        tuple(np.concatenate(values) for values in zip(*local, strict=True))
        for local in zip(*parts, strict=True)
    ]
    assert_same(together, whole)
    other = batches(training_batches(dataset, 4, augment=augment, seed=4), 1)
    assert (other[0][0] != whole[0][0]).any()


@pytest.mark.thorough
def test_the_same_photograph_in_a_file_and_in_a_record(folder):
    files = load(folder)
    records = write_records(folder, "tfrecord")
    data = dataclasses.replace(files, train=records, test=records, options={})
    options = {"augment": ("random_resized_crop", "flip"), "seed": 1}
    assert_same(
        batches(training_batches(data, 4, **options), 4),
        batches(training_batches(files, 4, **options), 4),
    )


def test_records_know_labels_rows_and_noise(folder, monkeypatch):
    monkeypatch.setattr(splits, "CACHE_BYTES", 100)
    split = write_records(folder, "tfrecord")
    assert split.labels.tolist() == [0] * 6 + [1] * 6
    shifted = split.shift_labels(np.arange(12), 2).subset(np.array([1, 4, 7]))
    assert shifted.labels.tolist() == [1, 0, 0]
    found = np.concatenate([labels for _, labels in evaluation_batches(shifted, 2)])
    assert found.tolist() == [1, 0, 0]
    assert len({split.digest(), shifted.digest(), split.subset(np.arange(12)).digest()}) == 2


def test_a_file_of_records_that_was_cut_off(folder):
    split = write_records(folder, "tfrecord")
    with open(split.files[0], "r+b") as file:
        file.truncate(file.seek(0, io.SEEK_END) - 3)
    with pytest.raises(ValueError, match="whole files. Received: .*tfrecord-0, which ends within"):
        tfrecord_places(split.files)


def test_a_truncated_jpeg_is_known_before_the_first_epoch(folder, monkeypatch):
    monkeypatch.setattr(splits, "CACHE_BYTES", 100)
    path = folder / "train/a/wide.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"with 1 that can't: train/a/wide.jpg \(.*truncated"):
        load(folder)
    assert "train/a/wide.jpg" not in load(folder, skip_unreadable=True).train.paths


def test_a_file_that_breaks_later_is_named(folder):
    data = load(folder)
    path = folder / data.train.paths[3]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(tf.errors.OpError, match=f"`path` must be an image .*{path.name}"):
        batches(training_batches(data, 4, augment=("random_resized_crop",)), 4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Preprocessing(SIZE, crop=0.95, interpolation="bicubic")),
        ({"crop": 0.5}, Preprocessing(SIZE, crop=0.5, interpolation="bicubic")),
        ({"squash": True}, Preprocessing(SIZE, interpolation="bicubic")),
        ({"interpolation": "bilinear"}, Preprocessing(SIZE, crop=0.95)),
    ],
)
def test_weights_say_what_was_not_said(folder, options, expected):
    data = load(folder, **options)
    asked = data.fitted(0.95, "bicubic")
    assert asked.preprocessing == expected == asked.train.preprocessing
    assert asked.fitted(0.95, "bicubic") is asked
    assert (asked.fingerprint() == data.fingerprint()) == (asked is data)


def test_images_of_the_network_s_size_stay_as_they_are(tmp_path):
    for name in ("a", "b"):
        for i in range(3):
            path = tmp_path / name / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            picture(*SIZE).save(path)
    data = load(tmp_path)
    assert data.preprocessing == Preprocessing(SIZE) and not data.train.is_varied
    assert data.fitted(0.5, "bicubic") is data


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 0}, "`crop` must be above 0 .* Received: crop=0"),
        ({"crop": "all"}, "Received: crop='all'"),
        ({"crop": 0.9, "squash": True}, "`crop` must be None with `squash`"),
        ({"squash": 1}, "`squash` must be a bool. Received: squash=1"),
        ({"interpolation": "area"}, "`interpolation` must be 'bilinear' or .*'area'"),
    ],
)
def test_wrong_options(folder, options, message):
    with pytest.raises(ValueError, match=message):
        load(folder, **options)


def test_sequences_without_processes(photographs, monkeypatch):
    monkeypatch.setattr("keras_attn.data.batches.decoder.usable_cores", lambda: 0)
    data = dataclasses.replace(photographs, options={})
    options = {"augment": ("random_resized_crop", "flip"), "seed": 4}
    went = TrainingSequence(data, 5, **options)
    first = went[0]
    went.on_epoch_end()
    images, labels = went[1]
    again, their_labels = TrainingSequence(data, 5, start_epoch=1, **options)[1]
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, their_labels)
    assert images.shape == (5, *SIZE, 3) and (first[0] != images).any()
    kept = np.concatenate([EvaluationSequence(data, 5)[i][0] for i in range(3)])
    monkeypatch.setattr(splits, "CACHE_BYTES", 100)
    batches_of = EvaluationSequence(data, 5)
    np.testing.assert_array_equal(np.concatenate([batches_of[i][0] for i in range(3)]), kept)


@pytest.mark.slow
def test_worker_processes_give_the_same(folder):
    split = load(folder).train
    rows = np.arange(12)[::-1]
    here, there = (Decoder(split, parts=True, workers=count) for count in (0, 2))
    images, labels = here.read(rows, np.random.default_rng(1))
    theirs, their_labels = there.read(rows, np.random.default_rng(1))
    np.testing.assert_array_equal(images, theirs)
    np.testing.assert_array_equal(labels, their_labels)
    assert labels.tolist() == split.labels[rows].tolist()


@pytest.mark.slow
def test_worker_processes_need_no_keras():
    """Keras's backend may take seconds, a device, or another package that is not there."""
    loaded = "sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(__import__('sys').modules))"
    with start_workers(1) as workers:
        assert workers.submit(usable_cores).result() == usable_cores()
        assert workers.submit(eval, loaded).result() == []


@pytest.mark.slow
def test_worker_processes_end_with_a_process_that_is_killed():
    program = (
        "import os, signal\n"
        "from keras_attn.data.batches.workers import start_workers\n"
        "print(start_workers(1).submit(os.getpid).result(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**WITH_HELPERS, "KERAS_ATTN_WORKER": "1"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    # Its output has come to its end, which a worker holds open until it ends, too.
    assert done.returncode == -9 and int(done.stdout) > 1
