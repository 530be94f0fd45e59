"""training_batches, evaluation_batches: a seed and a number decide a batch; replicas share it."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from helpers.marks import rest_thorough
from keras_attn.data import splits
from keras_attn.data.augment import CROP_PADDING
from keras_attn.data.batches.tensorflow_pipeline import evaluation_batches, training_batches
from keras_attn.data.by_name import load_dataset
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.splits import StreamSplit

SHAPE = (8, 6, 3)
PIXELS = np.random.default_rng(5).integers(0, 256, (23, *SHAPE), dtype="uint8")
FAST_LAYERS = ("random_erasing", "mixup", "cutmix")
EXACT = ("random_resized_crop", "crop", "flip")  # the same whatever the number of replicas


def numbered(count, shape=(5, 7, 3)):
    """Images that hold their own number, from 1, and as many classes: class 0 is number 1."""
    numbers = np.arange(1, count + 1)
    images = np.broadcast_to(numbers[:, None, None, None], (count, *shape)).astype("uint8")
    return ImageDataset.from_arrays((images, numbers - 1), (images, numbers - 1))


def noise(count=23, classes=4):
    images, labels = PIXELS[:count], np.arange(count) % classes
    return ImageDataset.from_arrays((images, labels), (images[:5], labels[:5]))


def as_stream(dataset):
    """The same data as `tf.data.Dataset`s."""

    def stream(split):
        arrays = tf.data.Dataset.from_tensor_slices((split.images, split.labels))
        return StreamSplit(arrays, len(split))

    names = dataset.class_names
    return ImageDataset(
        "s", names, dataset.image_shape, stream(dataset.train), stream(dataset.test)
    )


def as_files(dataset, folder):
    """The same data as PNG files that are decoded on demand."""
    for which in ("train", "test"):
        split = getattr(dataset, which)
        for i, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
            path = folder / which / str(label) / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return load_dataset(folder)


def batches(dataset, count=None):
    taken = dataset if count is None else dataset.take(count)
    return [(images.numpy(), labels.numpy()) for images, labels in taken]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for (images, labels), (other_images, other_labels) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


@pytest.mark.parametrize("kind", [lambda d: d, as_stream])
def test_evaluation_gives_each_image_once_in_order(kind):
    dataset = kind(numbered(11))
    result = batches(evaluation_batches(dataset.train, 4))
    assert [len(labels) for _, labels in result] == [4, 4, 3]
    assert np.concatenate([labels for _, labels in result]).tolist() == list(range(11))
    for images, labels in result:
        assert images.dtype == np.float32 and labels.dtype == np.int64
        assert (images == labels[:, None, None, None] + 1).all()
    assert_same(batches(evaluation_batches(dataset, 4)), result)
    for_device = batches(evaluation_batches(dataset, 4, for_device=True))
    assert {images.dtype for images, _ in for_device} == {np.dtype("uint8")}
    assert_same(for_device, result)


@pytest.mark.parametrize("kind", [lambda d: d, as_stream])
def test_a_pass_has_no_repeats_and_a_new_order(kind):
    # 11 // 4 batches in a pass
    stream = batches(training_batches(kind(numbered(11)), 4, augment=()), 12)
    orders = []
    for first in range(0, 12, 2):
        for images, labels in stream[first : first + 2]:
            assert images.shape == (4, 5, 7, 3) and images.dtype == labels.dtype == np.float32
            assert (images == labels.argmax(-1)[:, None, None, None] + 1).all()
            assert (labels.sum(-1) == 1).all() and (labels.max(-1) == 1).all()
        orders.append(np.concatenate([y.argmax(-1) for _, y in stream[first : first + 2]]).tolist())
        assert len(set(orders[-1])) == 8
    assert len({tuple(order) for order in orders}) == 6
    assert all(order != sorted(order) for order in orders)
    assert set(sum(orders, [])) == set(range(11))  # the one left out changes


def test_orders_are_even():
    # In 600 passes of 5 single images, each is at each place about as often: the chi-square of
    # 4 degrees of freedom is below 20 with probability 0.9995.
    dataset = numbered(5, (1, 1, 1))
    stream = np.array([y[0].argmax() for _, y in batches(training_batches(dataset, 1), 3000)])
    orders = stream.reshape(600, 5)
    assert (np.sort(orders, axis=1) == np.arange(5)).all()
    for place in range(5):
        counts = np.bincount(orders[:, place], minlength=5)
        assert ((counts - 120) ** 2 / 120).sum() < 20


@pytest.mark.slow
def test_randaugment_in_tf_data():
    once, again = (
        batches(training_batches(noise(), 5, augment=["randaugment"]), 3) for _ in range(2)
    )
    assert_same(once, again)
    plain = batches(training_batches(noise(), 5, augment=[]), 3)
    assert all((a != b).any() for (a, _), (b, _) in zip(once, plain, strict=True))


@pytest.mark.parametrize(
    "augment",
    [
        EXACT,
        pytest.param((), marks=pytest.mark.thorough),
        pytest.param(("crop", *FAST_LAYERS), marks=pytest.mark.thorough),
    ],
    ids=len,
)
def test_a_seed_fixes_every_batch(augment):
    def run(seed, global_seed=None):
        tf.random.set_seed(global_seed)
        stream = training_batches(noise(), 5, augment=augment, seed=seed)
        next(iter(stream))  # an iterator more or less changes nothing
        return batches(stream, 9)

    once, other = run(1), run(2)
    assert_same(run(1, global_seed=7), once)
    assert (once[0][0] != other[0][0]).any()
    # The 23 images give 4 batches in a pass.
    assert (once[0][0] != once[4][0]).any() and (once[4][0] != once[8][0]).any()
    assert run(2**32 - 1)[0][0].shape == (5, *SHAPE)


def numbers_of(stream):
    return np.stack([labels.argmax(-1) for _, labels in stream])


@pytest.mark.parametrize("kind", [lambda d: d, as_stream])
def test_each_image_several_times_in_a_batch(kind):
    stream = batches(training_batches(kind(numbered(12)), 6, augment=(), repeats=3), 12)
    for images, labels in stream:
        assert (images == labels.argmax(-1)[:, None, None, None] + 1).all()
    for rows in np.split(numbers_of(stream), 2):  # 6 batches in a pass
        assert (rows == np.tile(rows[:, :2], 3)).all()  # a b a b a b
        assert (np.bincount(rows.ravel()) == 3).all()
    assert len({tuple(rows) for rows in numbers_of(stream)[:, :2]}) > 6


def test_repeats_that_no_batch_divides_by():
    whole = numbers_of(batches(training_batches(numbered(11), 4, augment=(), repeats=3), 16))
    for rows in np.split(whole, 2):  # 8 batches in a pass: one image lacks once
        assert sorted(np.bincount(rows.ravel(), minlength=11)) == [2, *[3] * 10]


@pytest.mark.thorough
def test_each_time_is_augmented_anew_and_on_another_replica():
    options = {"augment": EXACT, "repeats": 3, "seed": 2}
    one = [
        batches(training_batches(noise(23, 23), 6, replicas=range(i, i + 1), num_replicas=3,
                                 **options), 8)
        for i in range(3)
    ]  # fmt: skip
    for first, second, third in zip(*one, strict=True):
        assert len({*first[1].argmax(-1)}) == 2
        for images, labels in (second, third):
            np.testing.assert_array_equal(labels, first[1])
            assert (images != first[0]).any((1, 2, 3)).all()


@pytest.mark.parametrize("kind", ["arrays", "stream", "files"])
@pytest.mark.parametrize(
    "augment", [EXACT, pytest.param(("crop", "cutmix"), marks=pytest.mark.thorough)], ids=len
)
def test_start_step_is_the_same_as_skipping(kind, augment, tmp_path, monkeypatch):
    dataset = noise()
    if kind == "stream":
        dataset = as_stream(dataset)
    elif kind == "files":
        dataset = as_files(dataset, tmp_path)
        monkeypatch.setattr(splits, "CACHE_BYTES", 100)
    # 4 batches in a pass, or 9
    options = {"augment": augment, "seed": 3, "repeats": 1 if augment == EXACT else 2}
    whole = batches(training_batches(dataset, 5, **options), 11)
    for start in (1, 4, 9):
        rest = batches(training_batches(dataset, 5, start_step=start, **options), 11 - start)
        assert_same(rest, whole[start:])


@pytest.mark.parametrize(
    ("kind", "repeats"),
    rest_thorough([(lambda d: d, 4), (as_stream, 1), (lambda d: d, 1), (as_stream, 4)], fast=2),
)
def test_replicas_batches_together_are_the_batch_of_one(kind, repeats):
    dataset, count = kind(noise()), 9
    options = {"augment": EXACT, "label_smoothing": 0.1, "seed": 2, "start_step": 3,
               "repeats": repeats}  # fmt: skip
    whole = batches(training_batches(dataset, 6, **options), count)
    for workers in ([range(3)], [range(1), range(1, 3)], [range(2), range(2, 3)]):
        parts = [
            batches(
                training_batches(dataset, 6, replicas=mine, num_replicas=3, **options),
                count * len(mine),
            )
            for mine in workers
        ]
        assert all(len(labels) == 2 for part in parts for _, labels in part)
        for step in range(count):
            local = [
                batch
                for mine, part in zip(workers, parts, strict=True)
                for batch in part[step * len(mine) : (step + 1) * len(mine)]
            ]
            together = [np.concatenate(values) for values in zip(*local, strict=True)]
            assert_same([tuple(together)], [whole[step]])


def test_keras_layers_draw_for_each_replica_by_itself():
    dataset = ImageDataset.from_arrays((PIXELS[:1].repeat(64, 0), [0] * 64), (PIXELS[:1], [0]))
    options = {"augment": ("random_erasing",), "replicas": range(2), "num_replicas": 2}
    (one, _), (two, _) = batches(training_batches(dataset, 64, **options), 2)
    assert (one != two).any()
    options["replicas"] = range(1, 2)
    [(alone, _)] = batches(training_batches(dataset, 64, **options), 1)
    np.testing.assert_array_equal(alone, two)


def test_files_and_streams_give_what_arrays_give(tmp_path, monkeypatch):
    dataset = noise()
    files = as_files(dataset, tmp_path)  # in the order of their classes
    order = np.argsort(dataset.train.labels, kind="stable")
    train = (dataset.train.images[order], dataset.train.labels[order])
    test = (files.test.read(np.arange(5)), files.test.labels)
    arrays = ImageDataset.from_arrays(train, test)
    expected = batches(training_batches(arrays, 5, augment=EXACT, seed=1), 9)
    assert_same(batches(training_batches(files, 5, augment=EXACT, seed=1), 9), expected)
    monkeypatch.setattr(splits, "CACHE_BYTES", 100)
    files = load_dataset(tmp_path)
    assert files.train.in_memory() is None
    assert_same(batches(training_batches(files, 5, augment=EXACT, seed=1), 9), expected)
    assert_same(batches(evaluation_batches(files, 2)), batches(evaluation_batches(arrays, 2)))


def test_a_broken_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(splits, "CACHE_BYTES", 100)
    files = as_files(noise(), tmp_path)
    (tmp_path / files.train.paths[7]).write_bytes(b"no image")
    with pytest.raises(
        tf.errors.OpError, match=f"`path` must be an image .*{files.train.paths[7]}"
    ):
        batches(training_batches(files, 5), 5)


def test_each_image_has_a_crop_of_its_own():
    # One image, whose pixels are all different, 64 times: the crops tell their offsets.
    image = np.arange(1, 65, dtype="uint8").reshape(8, 8, 1)
    dataset = ImageDataset.from_arrays((np.stack([image] * 64), [0] * 64), (image[None], [0]))
    padded = np.pad(image, ((CROP_PADDING,) * 2, (CROP_PADDING,) * 2, (0, 0)))
    windows = {
        padded[row : row + 8, column : column + 8].astype("float32").tobytes(): (row, column)
        for row in range(9)
        for column in range(9)
    }
    [(images, _)] = batches(training_batches(dataset, 64, augment=["crop"]), 1)
    offsets = [windows[crop.tobytes()] for crop in images]  # KeyError: no crop of the image
    assert len(set(offsets)) > 30
    assert {row for row, _ in offsets} == {column for _, column in offsets} == set(range(9))


def test_flips_are_left_right_and_of_half_the_images():
    image = np.tile(np.arange(1, 13, dtype="uint8")[None, :, None], (12, 1, 1))
    dataset = ImageDataset.from_arrays((np.stack([image] * 64), [0] * 64), (image[None], [0]))
    [(images, _)] = batches(training_batches(dataset, 64, augment=["flip"]), 1)
    flipped = (images == image[:, ::-1]).all(axis=(1, 2, 3))
    assert (flipped | (images == image).all(axis=(1, 2, 3))).all() and 16 < flipped.sum() < 48
    for augment, flips in ((["crop"], False), (["crop", "flip"], True)):
        [(images, _)] = batches(training_batches(dataset, 64, augment=augment), 1)
        centre = images[:, 5, 5:7, 0]  # within every crop, ascending unless flipped
        assert bool((np.diff(centre) < 0).any()) == flips


def test_a_resized_crop_is_a_part_of_its_image():
    # Where a pixel's value is its column, a part's values rise evenly within 0 .. W - 1.
    image = np.broadcast_to(np.arange(17, dtype="float32")[None, :, None] * 2, (13, 17, 1))
    dataset = ImageDataset.from_arrays((np.stack([image] * 64), [0] * 64), (image[None], [0]))
    [(images, _)] = batches(training_batches(dataset, 64, augment=["random_resized_crop"]), 1)
    first, last = images[:, 0, 0, 0], images[:, 0, -1, 0]
    assert images.shape == (64, 13, 17, 1) and len(set(first)) > 30
    assert (first >= 0).all() and (last <= 32.001).all() and (first < last).all()
    expected = np.linspace(first, last, 17, axis=1)[:, None, :, None]
    np.testing.assert_allclose(images, np.broadcast_to(expected, images.shape), atol=1e-3)
    shares = (last - first) / 32
    assert shares.min() < 0.5 < 0.9 < shares.max()


def test_smoothed_labels():
    [(_, labels)] = batches(training_batches(noise(), 16, label_smoothing=0.2), 1)
    np.testing.assert_allclose(labels.sum(-1), 1, atol=1e-6)
    assert set(labels.ravel().tolist()) == {np.float32(0.05), np.float32(0.85)}


def test_the_images_are_no_constants_of_the_graph():
    stream = training_batches(numbered(200, (40, 50, 3)), 4)
    graph = tf.raw_ops.DatasetToGraphV2(
        input_dataset=stream._variant_tensor, strip_device_assignment=True
    )  # which holds captured tensors once, as it does those of from_tensor_slices
    assert len(graph.numpy()) < 2 * 200 * 40 * 50 * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be a positive integer. Received: batch_size=0"),
        ({"batch_size": 2.0}, "Received: batch_size=2.0"),
        ({"batch_size": True}, "Received: batch_size=True"),
        ({"batch_size": 4}, "must not exceed the 3 training images. Received: batch_size=4"),
        ({"augment": ["turn"]}, "`augment` must be a sequence of .* in which 'turn' is none"),
        ({"augment": "crop"}, "`augment` must be a sequence of .* Received: augment='crop'"),
        ({"augment": ["crop", "crop"]}, "each once. Received: augment="),
        ({"repeats": 0}, "`repeats` must be a positive integer. Received: repeats=0"),
        ({"label_smoothing": 1.0}, "`label_smoothing` must be .* Received: label_smoothing=1.0"),
        ({"seed": -1}, r"`seed` must be an integer from 0 to 2\*\*32 - 1. Received: seed=-1"),
        ({"seed": 1.0}, "Received: seed=1.0"),
        ({"start_step": -1}, "`start_step` must be an integer, 0 or more. Received: start_step=-1"),
        ({"num_replicas": 0}, "`num_replicas` must be positive .* Received: num_replicas=0"),
        ({"batch_size": 3, "num_replicas": 2}, "divide `batch_size`. Received: num_replicas=2"),
        ({"replicas": range(2)}, r"within range\(1\). Received: replicas=range\(0, 2\)"),
        ({"replicas": range(0)}, r"Received: replicas=range\(0, 0\)"),
        ({"replicas": [0]}, r"Received: replicas=\[0\]"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        training_batches(numbered(3), **{"batch_size": 2, **arguments})


def test_wrong_arguments_of_evaluation():
    with pytest.raises(ValueError, match="`source` must be an ImageDataset or .* source=ndarray"):
        evaluation_batches(PIXELS, 2)
    with pytest.raises(ValueError, match="Received: batch_size=0"):
        evaluation_batches(noise(), 0)
