"""load_dataset: the digits, and what tensorflow-datasets' own writer wrote."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.training import load_dataset
from keras_attn.training.image_dataset import resize

NAME = "tiny_shapes"
TRAIN, TEST = 11, 5


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with data sets of 13x17 images: one as it should be, and three that are not."""
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("tfds")

    def write(name, splits, image=None, label=None):
        features = tfds.features.FeaturesDict(
            {
                "image": image or tfds.features.Image(shape=(13, 17, 3)),
                "label": label or tfds.features.ClassLabel(names=["disc", "ring", "star"]),
            }
        )
        version = folder / name / "1.0.0"
        version.mkdir(parents=True)
        file_name = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
        infos = []
        for split, count in splits.items():
            path = version / f"{name}-{split}.tfrecord-00000-of-00001"
            with tf.io.TFRecordWriter(str(path)) as writer:
                for i in range(count):
                    example = {"image": np.full((13, 17, 3), i, "uint8"), "label": i % 3}
                    writer.write(features.serialize_example(features.encode_example(example)))
            template = tfds.core.ShardedFileTemplate(
                data_dir=version,
                template=file_name,
                dataset_name=name,
                split=split,
                filetype_suffix="tfrecord",
            )
            infos.append(
                tfds.core.SplitInfo(
                    name=split, shard_lengths=[count], num_bytes=0, filename_template=template
                )
            )
        tfds.folder_dataset.write_metadata(
            data_dir=version, features=features, split_infos=infos, filename_template=file_name
        )

    write(NAME, {"train": TRAIN, "test": TEST})
    write("with_validation", {"train": 2, "validation": 3})
    write("train_only", {"train": 2})
    write("any_size", {"train": 1, "test": 1}, image=tfds.features.Image(shape=(None, None, 3)))
    write("regression", {"train": 1, "test": 1}, label=tfds.features.Scalar(np.int64))
    return folder


def arrays(split):
    images, labels = zip(*split.as_numpy_iterator(), strict=True)
    return np.stack(images), np.array(labels)


def test_digits_shapes_and_sizes(digits):
    assert digits.name == "digits"
    assert digits.class_names == tuple("0123456789")
    assert digits.num_classes == 10
    assert digits.image_shape == (32, 32, 3)
    assert (digits.train_size, digits.test_size) == (1437, 360)
    for split, size in ((digits.train, 1437), (digits.test, 360)):
        assert int(split.cardinality()) == size
        images, labels = arrays(split)
        assert images.shape == (size, 32, 32, 3) and images.dtype == np.uint8
        assert labels.shape == (size,) and labels.dtype == np.int64
        assert images.max() == 255 and images.min() == 0
        assert (images[..., :1] == images).all()


def test_digits_split_is_a_stratified_partition(digits):
    from sklearn.datasets import load_digits

    source = load_digits()
    total = np.bincount(source.target)
    train, test = arrays(digits.train), arrays(digits.test)
    counts = np.bincount(test[1])
    assert (np.bincount(train[1]) + counts == total).all()
    assert (np.abs(counts - 0.2 * total) < 1).all()
    # Each source image comes once: the multisets of images agree.
    whole = resize(source.images[..., None] * (255 / 16), (32, 32)).numpy()[..., 0]
    ours = np.concatenate([train[0], test[0]])[..., 0]
    assert sorted(image.tobytes() for image in ours) == sorted(image.tobytes() for image in whole)


def test_digits_split_follows_the_seed(digits):
    def labels_and_sum(dataset):
        images, labels = arrays(dataset.test)
        return labels.tolist(), images.astype("int64").sum(axis=(1, 2, 3)).tolist()

    again, other = load_dataset("digits"), load_dataset("digits", seed=1)
    assert labels_and_sum(again) == labels_and_sum(digits)
    assert labels_and_sum(other) != labels_and_sum(digits)
    assert (digits.seed, other.seed) == (0, 1)


def test_resize_by_hand():
    # Half-pixel centres: the four outputs lie at -1/4 (clamped), 1/4, 3/4 and 5/4 (clamped).
    image = np.array([[[0.0], [200.0]]])  # (1, 2, 1)
    assert resize(image, (1, 4)).numpy()[0, :, 0].tolist() == [0, 50, 150, 200]
    assert resize(image, (1, 4)).dtype == tf.uint8
    # Downwards: antialiased, so that each pixel counts (here equally).
    assert resize(np.array([[[0.0], [0.0], [200.0], [200.0]]]), (1, 1)).numpy().item() == 100


def test_image_size_and_limit():
    dataset = load_dataset("digits", image_size=(7, 5), limit=23, seed=3)
    assert dataset.image_shape == (7, 5, 3)
    assert (dataset.train_size, dataset.test_size) == (23, 360)
    assert int(dataset.train.cardinality()) == 23
    images, _ = arrays(dataset.train)
    assert images.shape == (23, 7, 5, 3)
    again, _ = arrays(load_dataset("digits", image_size=(7, 5), limit=23, seed=3).train)
    assert (images == again).all()
    whole, _ = arrays(load_dataset("digits", image_size=(7, 5), seed=3).train)
    rows = [image.tobytes() for image in whole]
    positions = [rows.index(image.tobytes()) for image in images]
    assert positions == sorted(positions) and positions != list(range(23))


def test_tfds_reads_a_prepared_folder(prepared):
    dataset = load_dataset(NAME, data_dir=prepared)
    assert dataset.class_names == ("disc", "ring", "star")
    assert dataset.image_shape == (13, 17, 3)
    assert (dataset.train_size, dataset.test_size) == (TRAIN, TEST)
    for split, size in ((dataset.train, TRAIN), (dataset.test, TEST)):
        assert int(split.cardinality()) == size
        for _ in range(2):  # as read, and as cached
            images, labels = arrays(split)
            assert images.shape == (size, 13, 17, 3) and images.dtype == np.uint8
            assert images[:, 0, 0, 0].tolist() == list(range(size))
            assert labels.tolist() == [i % 3 for i in range(size)]


def test_tfds_limit_resize_and_validation(prepared):
    dataset = load_dataset(NAME, data_dir=prepared, image_size=6, limit=4, seed=2)
    images, labels = arrays(dataset.train)
    assert images.shape == (4, 6, 6, 3)
    numbers = images[:, 0, 0, 0]
    assert len(set(numbers)) == 4 and (labels == numbers % 3).all()
    assert load_dataset("with_validation", data_dir=prepared).test_size == 3
    assert load_dataset("any_size", data_dir=prepared, image_size=6).image_shape == (6, 6, 3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": ""}, ValueError, "`name` must be the name of a data set. Received: name=''"),
        ({"name": 3}, ValueError, "Received: name=3"),
        ({"image_size": 0}, ValueError, r"`image_size` must be .* Received: image_size=0"),
        ({"image_size": (8, 8, 3)}, ValueError, r"Received: image_size=\(8, 8, 3\)"),
        ({"image_size": True}, ValueError, "Received: image_size=True"),
        ({"limit": 0}, ValueError, "`limit` must be a positive integer or None. Received: limit=0"),
        ({"limit": 1438}, ValueError, "1437 training images of 'digits'. Received: limit=1438"),
        ({"seed": -1}, ValueError, "`seed` must be an integer, 0 or more. Received: seed=-1"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        load_dataset(**{"name": "digits", **arguments})


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "cifar10",
            FileNotFoundError,
            "prepared data set 'cifar10'.*tfds build cifar10 --data_dir",
        ),
        ("train_only", ValueError, r"a test or validation split. .*splits are \['train'\]"),
        ("any_size", ValueError, "`image_size` is needed for 'any_size'"),
        ("regression", ValueError, "must be a data set of uint8 images with a class label"),
    ],
)
def test_wrong_tfds(prepared, name, error, message):
    with pytest.raises(error, match=message):
        load_dataset(name, data_dir=prepared)


def test_a_folder_that_is_not_there_names_folder_and_data_set(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset("cifar10", data_dir=tmp_path / "nowhere")
    assert "cifar10" in str(caught.value) and str(tmp_path / "nowhere") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_tfds_does_not_know():
    with pytest.raises(ValueError, match="`name` must be 'digits' or .* name='no_such_data'"):
        load_dataset("no_such_data")
