"""ImageDataset and its splits: what arrays are taken, what is refused, and the fingerprint."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.splits import ArraySplit, StreamSplit

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (7, 5, 3, 2), dtype="uint8"), np.arange(7) % 3
OTHERS, OTHER_LABELS = RNG.integers(0, 256, (2, 5, 3, 2), dtype="uint8"), np.array([2, 0])


def made(**changes):
    kwargs = {"train": (IMAGES, LABELS), "test": (OTHERS, OTHER_LABELS), **changes}
    return ImageDataset.from_arrays(**kwargs)


def stream(images=IMAGES, labels=LABELS, identity=None):
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    return StreamSplit(dataset, len(labels), identity)


def test_arrays_are_kept_as_they_are():
    dataset = made(class_names=["a", "b", "c"], name="noise", seed=4)
    assert (dataset.name, dataset.class_names, dataset.seed) == ("noise", ("a", "b", "c"), 4)
    assert (dataset.num_classes, dataset.train_size, dataset.test_size) == (3, 7, 2)
    assert dataset.image_shape == (5, 3, 2)
    assert dataset.train.labels.dtype == np.int64
    rows = np.array([6, 0])
    np.testing.assert_array_equal(dataset.train.read(rows), IMAGES[rows])
    assert made().class_names == ("0", "1", "2")
    floats = made(train=(IMAGES.astype("float32"), LABELS))
    assert floats.train.read(rows).dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": IMAGES}, r"`train` must be a pair \(images, labels\). Received: train=ndarray"),
        ({"test": (OTHERS[0], OTHER_LABELS)}, r"`test` must have images \(N, H, W, C\)"),
        ({"train": (IMAGES.astype(int), LABELS)}, "uint8, or of float32 .* images of int64"),
        ({"train": (IMAGES.astype(float), LABELS)}, "Received: images of float64"),
        ({"train": (IMAGES.astype("float32") * 2, LABELS)}, "values 0..255. Received: .* to [345]"),
        ({"train": (IMAGES.astype("float32") - 1, LABELS)}, "Received: values from -"),
        ({"train": (IMAGES / np.float32(255), LABELS)}, "multiply them by 255"),
        ({"train": (IMAGES * np.float32("nan"), LABELS)}, "Received: values from nan"),
        ({"train": (IMAGES, LABELS[:6])}, r"each of its 7 images, of shape \(7,\).* shape \(6,\)"),
        (
            {"train": (IMAGES, np.eye(7, 2, dtype=int))},
            r"Received: labels of int64 and shape \(7, 2\)",
        ),
        ({"train": (IMAGES, LABELS * 1.0)}, "Received: labels of float64"),
        ({"train": (IMAGES, LABELS - 1)}, "`train` must have labels from 0 to 2.* from -1 to 1"),
        ({"class_names": ["a", "b"]}, "`train` must have labels from 0 to 1, .* from 0 to 2"),
        ({"class_names": ["a", "b", "b"]}, "`class_names` must be names that differ"),
        ({"class_names": []}, "`class_names` must be names that differ, at least one"),
        ({"train": (IMAGES[:, :4], LABELS)}, r"`test` must have images of .* \(4, 3, 2\)"),
        ({"test": (OTHERS[:0], OTHER_LABELS[:0])}, "`test` must have an image at least"),
        (
            {"class_names": list("abcde")},
            "`train` must have an image of each of the 5 classes of 'arrays'. "
            "Received: no image of 'd', 'e'",
        ),
    ],
)
def test_wrong_arrays(changes, message):
    with pytest.raises(ValueError, match=message):
        made(**changes)


def test_a_split_must_be_one():
    dataset = made()
    with pytest.raises(ValueError, match="`train` must be a split: .* Received: train=tuple"):
        dataclasses.replace(dataset, train=(IMAGES, LABELS))


def test_many_missing_classes_are_counted():
    with pytest.raises(ValueError, match="no image of '3', .*'12' and 5 more"):
        made(class_names=[str(i) for i in range(18)])


def test_the_fingerprint_is_of_pixels_labels_and_class_names():
    same = made()
    changed = IMAGES.copy()
    changed[3, 2, 1, 0] ^= 1
    moved = LABELS.copy()
    moved[3] = (moved[3] + 1) % 3
    others = [
        made(train=(changed, LABELS)),
        made(train=(IMAGES, moved)),
        made(test=(OTHERS[::-1], OTHER_LABELS)),
        made(class_names=["a", "b", "c"]),
        made(train=(IMAGES.astype("float32"), LABELS)),
    ]
    prints = [dataset.fingerprint() for dataset in others]
    assert len(set(prints) | {same.fingerprint()}) == 6
    assert made(name="x", seed=3).fingerprint() == same.fingerprint()
    assert made(train=(np.asfortranarray(IMAGES), LABELS)).fingerprint() == same.fingerprint()
    assert len(same.fingerprint()) == 64 and int(same.fingerprint(), 16) > 0


def test_arrays_that_change_in_memory_are_noticed():
    images, labels = IMAGES.copy(), LABELS.copy()
    dataset = made(train=(images, labels))
    before = dataset.fingerprint()
    images[3, 2, 1, 0] ^= 1
    assert dataset.fingerprint() != before


def test_a_stream_gives_what_its_arrays_would():
    split = stream()
    assert split.image_shape == (5, 3, 2) and len(split) == 7
    np.testing.assert_array_equal(split.labels, LABELS)
    rows, shifts = np.array([1, 4, 6]), np.array([0, 2, 1, 0, 0, 0, 1])
    arrays = ArraySplit(IMAGES, LABELS)
    for ours, reference in (
        (split.subset(rows), arrays.subset(rows)),
        (split.shift_labels(shifts, 3), arrays.shift_labels(shifts, 3)),
    ):
        images, labels = zip(*ours.dataset.as_numpy_iterator(), strict=True)
        assert len(ours) == len(labels)
        np.testing.assert_array_equal(np.stack(images), reference.images)
        np.testing.assert_array_equal(labels, reference.labels)
        np.testing.assert_array_equal(ours.labels, reference.labels)


def test_the_fingerprint_of_a_stream():
    def digest(split):
        return split.digest()

    assert digest(stream()) == digest(stream()) != digest(stream(labels=LABELS[::-1].copy()))
    assert digest(stream()) != digest(stream(255 - IMAGES))
    named = stream(identity="set/1.0")
    assert digest(named) == digest(stream(255 - IMAGES, identity="set/1.0"))
    others = [named.subset(np.array([1, 4])), named.subset(np.array([1, 5]))]
    others += [named.shift_labels(np.eye(7, dtype=int)[i], 3) for i in (0, 1)]
    assert len({digest(split) for split in [named, *others]}) == 5
