"""What every Keras user has is taken as it is: `tf.data`, a folder's utility, arrays."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_attn.data import ImageDataset, splits
from keras_attn.data.given import as_dataset
from keras_attn.data.splits import ArraySplit, StreamSplit

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), "uint8")
LABELS = np.array([0, 1, 2, 0, 1, 2])


def tf_data(labels=LABELS, batch=4, images=IMAGES):
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    return dataset.batch(batch) if batch else dataset


@pytest.mark.parametrize("batch", [0, 4])
@pytest.mark.parametrize(
    "labels",
    [LABELS, LABELS[:, None], np.eye(3, dtype="float32")[LABELS]],
    ids=["integers", "columns", "one-hot"],
)
def test_labels_in_each_form(labels, batch):
    data = as_dataset((tf_data(labels, batch), tf_data(labels, batch)))
    assert data.class_names == ("0", "1", "2")
    assert isinstance(data.train, ArraySplit)
    np.testing.assert_array_equal(data.train.labels, np.sort(LABELS))
    for image, label in zip(data.train.images, data.train.labels, strict=True):
        [row] = np.flatnonzero((image == IMAGES).all((1, 2, 3)))
        assert LABELS[row] == label


def test_two_classes_as_floats():
    labels = (LABELS > 0).astype("float32")[:, None]
    data = as_dataset((tf_data(labels), tf_data(labels)))
    assert data.class_names == ("0", "1")


def test_classes_that_one_hot_labels_leave_empty_are_refused():
    wide = np.eye(4, dtype="float32")[LABELS]
    with pytest.raises(ValueError, match="an image of each of the 4 classes"):
        as_dataset((tf_data(wide), tf_data(wide)))


def test_the_order_does_not_count():
    order = np.array([5, 3, 0, 1, 4, 2])
    other = tf_data(LABELS[order], images=IMAGES[order])
    one = as_dataset((tf_data(), tf_data()))
    assert as_dataset((other, other)).fingerprint() == one.fingerprint()


def test_a_folder_by_kerass_utility(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.fromarray(IMAGES[i]).save(tmp_path / name / f"{i}.png")
    both = keras.utils.image_dataset_from_directory(
        tmp_path, image_size=(4, 5), validation_split=0.4, subset="both", seed=1, verbose=False
    )
    data = as_dataset(both)
    assert data.class_names == ("cat", "dog")
    assert (data.train_size, data.test_size, data.image_shape) == (6, 4, (4, 5, 3))


def test_what_is_too_large_for_memory_is_a_stream(monkeypatch):
    monkeypatch.setattr(splits, "CACHE_BYTES", 100)
    data = as_dataset((tf_data(), tf_data()))
    assert isinstance(data.train, StreamSplit)
    assert (len(data.train), data.image_shape, data.num_classes) == (6, (4, 5, 3), 3)
    read = [(image, label) for image, label in data.train.dataset.as_numpy_iterator()]
    np.testing.assert_array_equal([image for image, _ in read], IMAGES)
    np.testing.assert_array_equal([label for _, label in read], LABELS)


def test_arrays_of_keras_datasets():
    pair = (IMAGES, LABELS[:, None])
    assert as_dataset([pair, pair]).num_classes == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tf_data(), r"give it with its held-out images: \(train, test\)"),
        (lambda: (IMAGES, LABELS), "Received: dataset=a tuple of ndarray, ndarray"),
        (lambda: "digits", "Received: dataset='digits'"),
        (lambda: (tf_data().repeat(), tf_data()), "`train` must have an end"),
        (lambda: (tf_data(), tf_data().take(0)), "`test` must have an image at least"),
        (lambda: (tf_data().map(lambda x, y: x), tf_data()), r"`train` must give \(image, label\)"),
        (
            lambda: (tf_data(images=IMAGES / np.float32(255)), tf_data()),
            "these look scaled to 0..1, multiply them by 255",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        as_dataset(make())


def test_a_data_set_stays_what_it_is():
    data = ImageDataset.from_arrays((IMAGES, LABELS), (IMAGES, LABELS))
    assert as_dataset(data) is data
    assert repr(data) == (
        "<ImageDataset 'arrays': 3 classes, 6 images to train on, 6 held out, "
        "(H, W, C) = (4, 5, 3)>"
    )
