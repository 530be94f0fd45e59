"""TrainingSequence and EvaluationSequence: the same promises as the tf.data pipeline's."""

import keras
import numpy as np
import pytest

from keras_attn.data.augment import CROP_PADDING
from keras_attn.data.batches.sequence import EvaluationSequence, TrainingSequence
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.splits import StreamSplit


def numbered(count, shape=(5, 7, 3)):
    """Images that hold their own number, from 1, and as many classes: class 0 is number 1."""
    numbers = np.arange(1, count + 1)
    images = np.broadcast_to(numbers[:, None, None, None], (count, *shape)).astype("uint8")
    return ImageDataset.from_arrays((images, numbers - 1), (images, numbers - 1))


def noise(count=11, shape=(8, 6, 3), classes=3):
    images = np.random.default_rng(5).integers(0, 256, (count, *shape), dtype="uint8")
    labels = np.arange(count) % classes
    return ImageDataset.from_arrays((images, labels), (images, labels))


def epoch(sequence):
    return [sequence[i] for i in range(len(sequence))]


def test_a_pass_has_no_image_twice_and_the_next_is_another():
    batches = TrainingSequence(numbered(23), 5, augment=())
    orders = []
    for _ in range(3):
        images, labels = (np.concatenate(part) for part in zip(*epoch(batches), strict=True))
        assert images.shape == (20, 5, 7, 3) and images.dtype == labels.dtype == np.float32
        seen = images[:, 0, 0, 0]
        assert len(set(seen)) == 20 and set(seen) <= set(range(1, 24))
        np.testing.assert_array_equal(labels.argmax(1) + 1, seen)
        np.testing.assert_array_equal(labels.sum(1), 1)
        orders.append(tuple(seen))
        batches.on_epoch_end()
    assert len(set(orders)) == 3


def test_each_image_several_times_in_a_batch():
    batches = TrainingSequence(noise(12, classes=12), 6, augment=("crop",), repeats=3)
    found = epoch(batches)
    rows = np.stack([labels.argmax(1) for _, labels in found])
    assert (rows == np.tile(rows[:, :2], 3)).all()  # a b a b a b
    assert np.bincount(rows.ravel()).tolist() == [3] * 12
    first = np.concatenate([images[:2] for images, _ in found])
    again = np.concatenate([images[2:4] for images, _ in found])
    assert (first != again).any((1, 2, 3)).sum() > 9  # of 12; an offset may come twice


@pytest.mark.parametrize(("steps_per_epoch", "repeats"), [(None, 1), (3, 1), (3, 2)])
def test_a_start_is_the_same_as_going_there(steps_per_epoch, repeats):
    def make(**start):
        augment = ("crop", "flip", "random_resized_crop")
        return TrainingSequence(
            noise(), 2, augment=augment, seed=4, steps_per_epoch=steps_per_epoch, repeats=repeats,
            **start,
        )  # fmt: skip

    went = make()
    assert len(went) == (steps_per_epoch or 5)
    for _ in range(3):
        went.on_epoch_end()
    for ours, theirs in zip(epoch(make(start_epoch=3)), epoch(went), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    other = TrainingSequence(noise(), 2, seed=5)
    assert np.abs(epoch(make())[0][0] - epoch(other)[0][0]).max() > 1


def test_each_crop_is_one_of_the_padded_image_at_an_offset_of_its_own():
    data = noise(count=40, classes=40)
    images, labels = TrainingSequence(data, 40, augment=("crop", "flip"))[0]
    sides = ((CROP_PADDING, CROP_PADDING),) * 2 + ((0, 0),)
    offsets = set()
    for image, label in zip(images, labels.argmax(1), strict=True):
        padded = np.pad(data.train.images[label], sides)
        found = [
            (row, column, flip)
            for row in range(2 * CROP_PADDING + 1)
            for column in range(2 * CROP_PADDING + 1)
            for flip in (1, -1)
            if np.array_equal(padded[row : row + 8, column : column + 6][:, ::flip], image)
        ]
        assert len(found) >= 1
        offsets.add(found[0])
    assert len(offsets) > 20


def test_label_smoothing_by_hand():
    _, labels = TrainingSequence(noise(), 4, label_smoothing=0.3)[0]
    np.testing.assert_allclose(np.sort(labels, axis=1), [[0.1, 0.1, 0.8]] * 4, rtol=1e-6)


def test_mixing_keeps_labels_convex():
    images, labels = TrainingSequence(noise(), 8, augment=("mixup", "random_erasing"))[0]
    assert images.shape == (8, 8, 6, 3) and np.isfinite(images).all()
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-5)
    assert ((labels > 0.01) & (labels < 0.99)).any()


def test_evaluation_gives_each_image_once_in_order():
    data = noise()
    batches = epoch(EvaluationSequence(data, 4))
    assert [len(labels) for _, labels in batches] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate([b[0] for b in batches]), data.test.images)
    np.testing.assert_array_equal(
        np.concatenate([b[1] for b in batches]), np.eye(3)[data.test.labels]
    )
    alone = EvaluationSequence(data, 4, with_labels=False)[2]
    np.testing.assert_array_equal(alone, data.test.images[8:])
    assert batches[0][0].dtype == np.float32
    images, _ = EvaluationSequence(data, 4, for_device=True)[0]
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, batches[0][0])


def test_fit_takes_them():
    data = noise()
    inputs = keras.Input((8, 6, 3))
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "categorical_crossentropy")
    history = model.fit(
        TrainingSequence(data, 3), validation_data=EvaluationSequence(data, 3), epochs=2,
        shuffle=False, verbose=0,
    )  # fmt: skip
    assert len(history.history["val_loss"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"batch_size": 12}, "must not exceed the 11 training images"),
        ({"augment": "crop"}, "`augment` must be a sequence of names"),
        ({"label_smoothing": 1}, "`label_smoothing` must be a number from 0 to below 1"),
        ({"repeats": 1.5}, "`repeats` must be a positive integer"),
        ({"start_epoch": -1}, "`start_epoch` must be an integer, 0 or more"),
        ({"steps_per_epoch": 0}, "`steps_per_epoch` must be a positive integer"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        TrainingSequence(noise(), **{"batch_size": 4, **arguments})


def test_a_stream_needs_tensorflow():
    import tensorflow as tf

    arrays = (np.zeros((4, 5, 7, 3), "uint8"), np.array([0, 1, 0, 1]))
    stream = StreamSplit(tf.data.Dataset.from_tensor_slices(arrays), 4)
    data = ImageDataset("stream", ("a", "b"), (5, 7, 3), stream, stream)
    with pytest.raises(ValueError, match="to be read without TensorFlow. Received: a StreamSplit"):
        TrainingSequence(data, 2)


def test_an_index_that_is_not_there():
    with pytest.raises(IndexError, match="from 0 to 4. Received: index=5"):
        TrainingSequence(noise(), 2)[5]
