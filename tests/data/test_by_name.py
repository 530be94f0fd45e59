"""load_dataset: the digits, what tensorflow-datasets' own writer wrote, `limit`, label noise."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from helpers.paths import ROOT
from keras_attn.data import splits
from keras_attn.data.label_noise import label_shifts
from keras_attn.data.readers import tfds as tfds_reader
from keras_attn.data.readers.digits import resize
from keras_attn.data.readers.records import RecordSplit
from keras_attn.data.splits import ArraySplit, StreamSplit
from keras_attn.training import load_dataset

NAME = "tiny_shapes"
CIFAR = ROOT.parent / "shared/data/tfds"  # beside the checkout, if at all
TRAIN, TEST = 11, 5


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with data sets of 13x17 images: those that are right, and those that are not."""
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
    write("with_validation", {"train": 4, "validation": 3})
    write("class_missing", {"train": 2, "test": 3})
    write("train_only", {"train": 3})
    write("any_size", {"train": 3, "test": 1}, image=tfds.features.Image(shape=(None, None, 3)))
    write("regression", {"train": 1, "test": 1}, label=tfds.features.Scalar(np.int64))
    return folder


def arrays(split):
    if isinstance(split, StreamSplit):
        images, labels = zip(*split.dataset.as_numpy_iterator(), strict=True)
        return np.stack(images), np.array(labels)
    return split.read(np.arange(len(split))), split.labels


def test_digits_shapes_and_sizes(digits):
    assert digits.name == "digits"
    assert digits.class_names == tuple("0123456789")
    assert digits.num_classes == 10
    assert digits.image_shape == (32, 32, 3)
    assert (digits.train_size, digits.test_size) == (1437, 360)
    for split, size in ((digits.train, 1437), (digits.test, 360)):
        assert len(split) == size
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
    whole = resize(source.images[..., None] * (255 / 16), (32, 32))[..., 0]
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
    image = np.array([[[[0.0], [200.0]]]])  # (1, 1, 2, 1)
    assert resize(image, (1, 4))[0, 0, :, 0].tolist() == [0, 50, 150, 200]
    assert resize(image, (1, 4)).dtype == np.uint8
    # Downwards: antialiased, so that each pixel counts (here equally).
    assert resize(np.array([[[[0.0], [0.0], [200.0], [200.0]]]]), (1, 1)).item() == 100


@pytest.mark.parametrize("size", [(32, 32), (7, 5), (3, 19)])
def test_resize_is_tensorflows(size):
    images = np.random.default_rng(3).integers(0, 256, (5, 8, 11, 2)).astype("uint8")
    theirs = tf.image.resize(images, size, method="bilinear", antialias=True)
    ours = resize(images, size)
    assert np.abs(ours - theirs.numpy()).max() <= 0.501  # we round


def test_image_size_and_limit():
    dataset = load_dataset("digits", image_size=(7, 5), limit=41, seed=3)
    assert dataset.image_shape == (7, 5, 3)
    assert (dataset.train_size, dataset.test_size) == (41, 360)
    images, _ = arrays(dataset.train)
    assert images.shape == (41, 7, 5, 3)
    again, _ = arrays(load_dataset("digits", image_size=(7, 5), limit=41, seed=3).train)
    assert (images == again).all()
    whole, _ = arrays(load_dataset("digits", image_size=(7, 5), seed=3).train)
    rows = [image.tobytes() for image in whole]
    positions = [rows.index(image.tobytes()) for image in images]
    assert positions == sorted(positions) and positions != list(range(41))


def test_a_limit_that_loses_a_class_says_what_would_work():
    with pytest.raises(ValueError, match="leaves none of . of the 10 classes .* takes limit=") as e:
        load_dataset("digits", limit=11)
    least = int(str(e.value).split("limit=")[-1].split()[0])
    assert load_dataset("digits", limit=least).train_size == least > 11
    with pytest.raises(ValueError, match="leaves none of 1 of the 10 classes"):
        load_dataset("digits", limit=least - 1)


def test_test_share():
    dataset = load_dataset("digits", test_share=0.5)
    assert (dataset.train_size, dataset.test_size) == (898, 899)


def test_label_noise_is_in_the_training_labels_alone(digits):
    noisy = load_dataset("digits", label_noise=0.3)
    for ours, clean in ((noisy.train, digits.train), (noisy.test, digits.test)):
        np.testing.assert_array_equal(ours.images, clean.images)
    np.testing.assert_array_equal(noisy.test.labels, digits.test.labels)
    wrong = noisy.train.labels != digits.train.labels
    assert wrong.sum() == round(0.3 * 1437)
    assert noisy.train.labels.min() == 0 and noisy.train.labels.max() == 9
    again, other = (load_dataset("digits", label_noise=0.3, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(again.train.labels, noisy.train.labels)
    assert (other.train.labels != noisy.train.labels).any()
    assert noisy.fingerprint() == again.fingerprint() != digits.fingerprint()


def test_label_noise_is_even_over_the_other_classes():
    size, classes, rate = 60_000, 5, 0.4
    labels = np.arange(size) % classes
    noisy = (labels + label_shifts(size, classes, rate, seed=7)) % classes
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (labels, noisy), classes / size)
    assert np.abs(np.diag(confusion) - (1 - rate)).max() < 0.02
    others = confusion[~np.eye(classes, dtype=bool)]
    assert np.abs(others - rate / (classes - 1)).max() < 0.01
    assert (label_shifts(10, 3, 1.0, seed=0) > 0).all()
    assert not label_shifts(10, 3, 0.0, seed=0).any()


@pytest.fixture(params=["in memory", "in records", "as a stream"])
def cache(request, monkeypatch):
    if request.param != "in memory":
        monkeypatch.setattr(splits, "CACHE_BYTES", 100)
    if request.param == "as a stream":
        monkeypatch.setattr(tfds_reader, "_places", lambda info, split: None)
    kinds = {"in memory": ArraySplit, "in records": RecordSplit, "as a stream": StreamSplit}
    return kinds[request.param]


def test_tfds_reads_a_prepared_folder(prepared, cache):
    dataset = load_dataset(NAME, data_dir=prepared)
    assert dataset.class_names == ("disc", "ring", "star")
    assert dataset.image_shape == (13, 17, 3)
    assert (dataset.train_size, dataset.test_size) == (TRAIN, TEST)
    for split, size in ((dataset.train, TRAIN), (dataset.test, TEST)):
        assert isinstance(split, cache) and len(split) == size
        images, labels = arrays(split)
        assert images.shape == (size, 13, 17, 3) and images.dtype == np.uint8
        assert images[:, 0, 0, 0].tolist() == list(range(size))
        assert labels.dtype == np.int64 and labels.tolist() == [i % 3 for i in range(size)]


def test_tfds_files_of_the_same_size_are_noticed(prepared, cache, tmp_path):
    shutil.copytree(prepared / NAME, tmp_path / NAME)

    def fingerprint(folder):
        return load_dataset(NAME, data_dir=folder).fingerprint()

    before = fingerprint(prepared)
    assert fingerprint(tmp_path) == before
    version = tmp_path / NAME / "1.0.0"
    path = version / f"{NAME}-train.tfrecord-00000-of-00001"
    size = path.stat().st_size
    raw = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(path)) as writer:  # the first two change places
        for record in (raw[1], raw[0], *raw[2:]):
            writer.write(record)
    assert path.stat().st_size == size
    assert fingerprint(tmp_path) != before


def test_tfds_limit_resize_noise_and_validation(prepared, cache):
    options = {"data_dir": prepared, "image_size": 6, "limit": 7, "seed": 2}
    dataset = load_dataset(NAME, **options)
    images, labels = arrays(dataset.train)
    assert images.shape == (7, 6, 6, 3)
    numbers = images[:, 0, 0, 0]
    assert len(set(numbers)) == 7 and (labels == numbers % 3).all()
    noisy = load_dataset(NAME, **options, label_noise=0.43)
    images, labels = arrays(noisy.train)
    assert (images[:, 0, 0, 0] == numbers).all() and (labels != numbers % 3).sum() == 3
    prints = {
        dataset.fingerprint(),
        noisy.fingerprint(),
        load_dataset(NAME, **options).fingerprint(),
    }
    assert len(prints) == 2
    assert load_dataset("with_validation", data_dir=prepared).test_size == 3
    assert load_dataset("any_size", data_dir=prepared, image_size=6).image_shape == (6, 6, 3)


@pytest.mark.slow
@pytest.mark.skipif(not (CIFAR / "cifar10").is_dir(), reason="CIFAR-10 is not prepared here")
def test_cifar10():
    dataset = load_dataset("cifar10", data_dir=CIFAR)
    assert dataset.class_names[0] == "airplane" and dataset.class_names[9] == "truck"
    for split, size in ((dataset.train, 50_000), (dataset.test, 10_000)):
        assert split.images.shape == (size, 32, 32, 3) and split.images.dtype == np.uint8
        assert np.bincount(split.labels).tolist() == [size // 10] * 10
    # As measured when the copy was made; another decoder is off by up to a grey level.
    means = dataset.train.images.mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(means, [0.4868, 0.4822, 0.4414], atol=2e-4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": ""}, ValueError, "`name` must be the name of a data set or .* Received: name=''"),
        ({"name": 3}, ValueError, "Received: name=3"),
        ({"image_size": 0}, ValueError, r"`image_size` must be .* Received: image_size=0"),
        ({"image_size": (8, 8, 3)}, ValueError, r"Received: image_size=\(8, 8, 3\)"),
        ({"image_size": True}, ValueError, "Received: image_size=True"),
        ({"limit": 0}, ValueError, "`limit` must be a positive integer or None. Received: limit=0"),
        ({"limit": 1438}, ValueError, "1437 training images of 'digits'. Received: limit=1438"),
        ({"label_noise": 1.5}, ValueError, "`label_noise` must be .* 1. Received: label_noise=1.5"),
        ({"label_noise": "a"}, ValueError, "Received: label_noise='a'"),
        ({"test_share": 0}, ValueError, "`test_share` must be .* Received: test_share=0"),
        ({"test_share": 1.0}, ValueError, "Received: test_share=1.0"),
        ({"test_share": 0.001}, ValueError, "`test_share` must leave an image of each class"),
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
        ("class_missing", ValueError, "of 'class_missing'. Received: no image of 'star'"),
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
    with pytest.raises(ValueError, match="`name` must be 'digits', a folder .* name='no_such"):
        load_dataset("no_such_data")
