"""MixUp and CutMix: Keras's own layers are the measure; the device only does arithmetic."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.data.batches.mixing import draw_mixes, mix, mixes_of
from keras_attn.data.batches.sequence import TrainingSequence
from keras_attn.data.batches.tensorflow_pipeline import finisher, training_batches
from keras_attn.data.image_dataset import ImageDataset

B, H, W, C, CLASSES = 7, 13, 11, 3, 5
RNG = np.random.default_rng(1)
IMAGES = RNG.integers(0, 256, (B, H, W, C), "uint8")
LABELS = np.eye(CLASSES, dtype="float32")[np.arange(B) % CLASSES]
LAYERS = {
    "mixup": lambda: keras.layers.MixUp(alpha=1.0, data_format="channels_last"),
    "cutmix": lambda: keras.layers.CutMix(factor=(1.0, 1.0), data_format="channels_last"),
}
BOTH = ("mixup", "cutmix")
DATA = ImageDataset.from_arrays((IMAGES, np.arange(B) % CLASSES), (IMAGES, np.arange(B) % CLASSES))


def seeds(first):
    count = itertools.count()
    return lambda: tf.constant([first, next(count)], tf.int64)


class Seeds(keras.random.SeedGenerator):
    """What a layer draws from, in the way of `seeds`."""

    def __init__(self, first):
        self._draw = seeds(first)

    def next(self, ordered=True):
        return self._draw()


@pytest.mark.parametrize("name", BOTH)
def test_the_same_as_keras_s_layer(name):
    layer = LAYERS[name]()
    for first in range(4):
        given = {"images": IMAGES.astype("float32"), "labels": LABELS}
        transformation = layer.get_random_transformation(given, seed=Seeds(first))
        expected = layer.transform_images(given["images"], transformation)
        drawn = draw_mixes([name], (B, H, W), {name: seeds(first)})
        images, labels = mix(IMAGES, LABELS, drawn, [name])
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(labels, layer.transform_labels(LABELS, transformation))
        assert (np.asarray(images) != IMAGES).any()


def test_cutmix_by_hand():
    ones = np.stack([np.full((2, 3, 1), value, "uint8") for value in (10, 20)])
    drawn = np.array([[1, 0.5, 1, 3, 0.5, 2], [0, 1, 0, 0, 0, 0]], "float32")
    images, labels = mix(ones, np.eye(2, dtype="float32"), drawn, ["cutmix"])
    np.testing.assert_array_equal(
        images[..., 0], [[[10, 10, 10], [10, 20, 20]], [[20] * 3, [20] * 3]]
    )
    np.testing.assert_array_equal(labels, [[0.5, 0.5], [0, 1]])


def test_the_device_s_part_compiled_by_xla():
    """A device may take a product and a sum together: half a unit in the last place of 255."""
    drawn = draw_mixes(BOTH, (B, H, W), {name: seeds(3) for name in BOTH})
    finish = tf.function(finisher(BOTH), jit_compile=True)
    for ours, theirs in zip(finish(IMAGES, LABELS, drawn), mix(IMAGES, LABELS, drawn, BOTH),
                            strict=True):  # fmt: skip
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=255 * 2.0**-23)


@pytest.mark.parametrize("augment", [("crop", "flip", *BOTH), ("crop",)])
def test_what_goes_to_the_device_is_bytes(augment):
    options = {"augment": augment, "seed": 3, "label_smoothing": 0.1, "num_replicas": 2}
    whole = list(training_batches(DATA, 4, **options).take(3))
    finish = finisher(augment)
    raw = list(training_batches(DATA, 4, for_device=True, **options).take(3))
    for batch, (images, labels) in zip(raw, whole, strict=True):
        assert batch[0].dtype == tf.uint8 and len(batch) == 2 + bool(mixes_of(augment))
        for ours, theirs in zip(finish(*batch), (images, labels), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_sequence_has_bytes_until_the_device(monkeypatch):
    sequence = TrainingSequence(DATA, 3, augment=("crop", "mixup"))
    converted = []
    convert = keras.ops.convert_to_tensor
    monkeypatch.setattr(
        keras.ops, "convert_to_tensor", lambda x: converted.append(x.dtype) or convert(x)
    )
    images, labels = sequence.on_device(1)
    assert converted[0] == np.uint8 and images.dtype == labels.dtype == tf.float32
    monkeypatch.undo()
    np.testing.assert_array_equal(sequence[1][0], images)
    assert 0.99 < float(tf.reduce_min(tf.reduce_sum(labels, 1))) < 1.01
