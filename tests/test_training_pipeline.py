"""pipeline: every image is augmented by itself, and a seed fixes all of it."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.training import pipeline
from keras_attn.training.pipeline import random_crop, random_flip


def numbered(count, shape=(5, 7, 3)):
    """Images that hold their own number, from 1; the label is the number."""
    numbers = np.arange(1, count + 1)
    images = np.broadcast_to(numbers[:, None, None, None], (count, *shape)).astype("uint8")
    return tf.data.Dataset.from_tensor_slices((images, numbers))


def batches(dataset):
    return [(images.numpy(), labels.numpy()) for images, labels in dataset]


def test_evaluation_gives_each_image_once_in_order():
    result = batches(pipeline(numbered(11), 4, training=False, augment="crop_flip"))
    assert [len(labels) for _, labels in result] == [4, 4, 3]
    assert np.concatenate([labels for _, labels in result]).tolist() == list(range(1, 12))
    for images, labels in result:
        assert images.dtype == np.float32
        assert (images == labels[:, None, None, None]).all()


def test_training_shuffles_anew_and_drops_the_remainder():
    # 11 // 4 batches in a pass
    stream = batches(pipeline(numbered(11), 4, training=True).take(6))
    passes = [stream[:2], stream[2:4], stream[4:]]
    for result in passes:
        assert [images.shape for images, _ in result] == [(4, 5, 7, 3)] * 2
        labels = np.concatenate([labels for _, labels in result])
        assert len(set(labels)) == 8
        assert all((images == labels[:, None, None, None]).all() for images, labels in result)
    first, second, _ = (np.concatenate([y for _, y in result]).tolist() for result in passes)
    assert first != second and first != sorted(first)


@pytest.mark.parametrize("augment", ["none", "crop", "crop_flip"])
def test_a_seed_fixes_every_batch(augment):
    def run(seed, global_seed=None):
        tf.random.set_seed(global_seed)
        rng = np.random.default_rng(5)
        images = rng.integers(0, 256, (23, 8, 8, 3)).astype("uint8")
        split = tf.data.Dataset.from_tensor_slices((images, np.arange(23)))
        dataset = pipeline(split, 5, training=True, augment=augment, seed=seed)
        next(iter(dataset))  # an iterator more or less changes nothing
        return np.stack([images for images, _ in batches(dataset.take(12))])

    once, other = run(1), run(2)
    np.testing.assert_array_equal(once, run(1))
    np.testing.assert_array_equal(once, run(1, global_seed=0))
    np.testing.assert_array_equal(once, run(1, global_seed=7))
    assert run(0, global_seed=0).shape == run(2**31 - 2).shape == once.shape
    assert (once[0] != other[0]).any()
    # The 23 images give 4 batches in a pass.
    assert (once[:4] != once[4:8]).any() and (once[4:8] != once[8:]).any()


def test_each_image_has_a_crop_of_its_own():
    # One image, whose pixels are all different, 64 times: the crops tell their offsets.
    image = np.arange(1, 65, dtype="float32").reshape(8, 8, 1)
    images = random_crop(np.stack([image] * 64), (3, 4), padding=4).numpy()
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))
    windows = {
        padded[row : row + 8, column : column + 8].tobytes(): (row, column)
        for row in range(9)
        for column in range(9)
    }
    offsets = [windows[crop.tobytes()] for crop in images]  # KeyError: no crop of the image
    assert len(set(offsets)) > 30
    assert {row for row, _ in offsets} == {column for _, column in offsets} == set(range(9))


def test_the_pipeline_crops_each_image_by_itself():
    image = np.arange(1, 65, dtype="uint8").reshape(8, 8, 1)
    split = tf.data.Dataset.from_tensor_slices((np.stack([image] * 16), np.zeros(16, int)))
    images, _ = batches(pipeline(split, 16, training=True, augment="crop").take(1))[0]
    assert len({crop.tobytes() for crop in images}) > 8


def test_flip_by_hand():
    images = np.broadcast_to(np.array([1.0, 2.0, 3.0], "float32")[:, None], (64, 2, 3, 1))
    flipped = random_flip(images, (1, 2)).numpy()
    rows = flipped[:, 0, :, 0].tolist()
    assert {tuple(row) for row in rows} == {(1, 2, 3), (3, 2, 1)}
    assert 16 < rows.count([3, 2, 1]) < 48
    np.testing.assert_array_equal(flipped[:, 0], flipped[:, 1])


def test_crop_alone_never_flips():
    image = np.tile(np.arange(1, 13, dtype="uint8")[None, :, None], (12, 1, 1))
    split = tf.data.Dataset.from_tensor_slices((np.stack([image] * 32), np.zeros(32, int)))
    for augment, flips in (("crop", False), ("crop_flip", True)):
        images, _ = batches(pipeline(split, 32, training=True, augment=augment).take(1))[0]
        centre = images[:, 5, 5:7, 0]  # within every crop, ascending unless flipped
        assert bool((np.diff(centre) < 0).any()) == flips


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be a positive integer. Received: batch_size=0"),
        ({"batch_size": 2.0}, "Received: batch_size=2.0"),
        ({"batch_size": True}, "Received: batch_size=True"),
        ({"augment": "flip"}, "`augment` must be one of 'none', 'crop', 'crop_flip'. Received"),
        ({"augment": None}, "Received: augment=None"),
        ({"seed": -1}, r"`seed` must be an integer from 0 to 2\*\*32 - 1. Received: seed=-1"),
        ({"seed": 1.0}, "Received: seed=1.0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        pipeline(numbered(3), **{"batch_size": 2, "training": True, **arguments})
