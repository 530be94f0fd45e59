"""The mask loss and its gradient by hand and in NumPy; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.backend import value_and_gradient
from keras_attn.losses import ClassMaskCrossentropy, class_mask_targets

N, M, K = 5, 7, 3
CLASSES = np.array([2, -1, 0, 2, 1])


@pytest.fixture(scope="module")
def masks():
    return np.random.default_rng(0).integers(0, 2, (N, M, M)).astype("float32")


@pytest.fixture(scope="module")
def logits():
    return np.random.default_rng(1).normal(0, 3, (N, M, M, K)).astype("float32")


def sigmoid(z):
    return 1 / (1 + np.exp(-z.astype("float64")))


def by_numpy(masks, classes, logits):
    """Indexes each region's class, as Mask R-CNN's code does; a region without one is left out."""
    own = np.flatnonzero(classes >= 0)
    p = sigmoid(logits[own, :, :, classes[own]])
    each = np.zeros(len(classes))
    each[own] = -(masks[own] * np.log(p) + (1 - masks[own]) * np.log(1 - p)).mean(axis=(1, 2))
    return each, each.sum() / max(1, len(own))


def gradient_of(loss, y_true, y_pred):
    gradient = value_and_gradient(lambda z: (loss(y_true, z), None), ops.convert_to_tensor(y_pred))[
        1
    ]
    return ops.convert_to_numpy(gradient)


def test_targets_by_hand():
    masks = np.array([[[0, 1]], [[1, 1]], [[1, 0]]])
    found = ops.convert_to_numpy(class_mask_targets(masks, [1, -1, 0], 2))
    expected = [[[[-1, 0], [-1, 1]]], [[[-1, -1], [-1, -1]]], [[[1, -1], [0, -1]]]]
    np.testing.assert_array_equal(found, expected)
    agnostic = ops.convert_to_numpy(class_mask_targets(masks, [0, -1, 0], 1, ignore_class=255))
    np.testing.assert_array_equal(agnostic[..., 0], [[[0, 1]], [[255, 255]], [[1, 0]]])


def test_in_numpy(masks, logits):
    targets = class_mask_targets(masks, CLASSES, K)
    each, mean = by_numpy(masks, CLASSES, logits)
    found = ClassMaskCrossentropy(reduction=None)(targets, logits)
    np.testing.assert_allclose(ops.convert_to_numpy(found), each, rtol=1e-5)
    assert float(ClassMaskCrossentropy()(targets, logits)) == pytest.approx(mean, rel=1e-5)
    total = float(ClassMaskCrossentropy(reduction="sum")(targets, logits))
    assert total == pytest.approx(each.sum(), rel=1e-5)
    probabilities = sigmoid(logits).astype("float32")
    found = ClassMaskCrossentropy(from_logits=False)(targets, probabilities)
    assert float(found) == pytest.approx(mean, rel=1e-4)


def test_the_gradient_is_the_own_class_alone(masks, logits):
    targets = class_mask_targets(masks, CLASSES, K)
    gradient = gradient_of(ClassMaskCrossentropy(), targets, logits)
    expected = np.zeros(logits.shape)
    for number in np.flatnonzero(CLASSES >= 0):
        own = (number, slice(None), slice(None), CLASSES[number])
        expected[own] = (sigmoid(logits[own]) - masks[number]) / (4 * M**2)
    np.testing.assert_allclose(gradient, expected, atol=1e-8)
    assert not gradient[expected == 0].any()


def test_of_zero_logits_it_is_log_2(masks):
    targets = class_mask_targets(masks, CLASSES, K)
    loss = ClassMaskCrossentropy()(targets, np.zeros((N, M, M, K), "float32"))
    assert float(loss) == pytest.approx(np.log(2), rel=1e-6)


def test_two_classes_of_a_softmax_are_a_sigmoid_of_the_difference(masks, logits):
    """What softmax training computes where the two are an object and its ground."""
    two = logits[..., :2]
    softmax = np.exp(two) / np.exp(two).sum(-1, keepdims=True)
    expected = -np.log(np.where(masks == 1, softmax[..., 1], softmax[..., 0])).mean()
    targets = class_mask_targets(masks, np.zeros(N, int), 1)
    found = ClassMaskCrossentropy()(targets, two[..., 1:] - two[..., :1])
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("logit", [3.0, np.inf])
def test_without_an_object_loss_and_gradient_are_zero(masks, logits, logit):
    targets = class_mask_targets(masks, np.full(N, -1), K)
    loss, wild = ClassMaskCrossentropy(), logits.copy()
    wild[0, 0, 0, 0] = logit
    assert float(loss(targets, wild)) == 0
    np.testing.assert_array_equal(gradient_of(loss, targets, wild), 0)
    none = ops.convert_to_numpy(loss(targets[:0], wild[:0]))  # Keras doesn't reduce what is empty
    assert none.sum() == 0


def test_a_void_label_does_not_count(masks, logits):
    targets = ops.convert_to_numpy(class_mask_targets(masks, CLASSES, K)).copy()
    targets[2, :3, :, 0] = -1
    each = ops.convert_to_numpy(ClassMaskCrossentropy(reduction=None)(targets, logits))
    p = sigmoid(logits[2, 3:, :, 0])
    expected = -np.where(masks[2, 3:] == 1, np.log(p), np.log(1 - p)).mean()
    assert each[2] == pytest.approx(expected, rel=1e-5)


def test_it_trains_and_is_saved(masks, tmp_path):
    image = keras.Input((M, M, 4))
    model = keras.Model(image, keras.layers.Conv2D(K, 1, kernel_initializer="zeros")(image))
    model.compile(keras.optimizers.SGD(1.0), ClassMaskCrossentropy())
    x = np.random.default_rng(2).normal(size=(N, M, M, 4)).astype("float32")
    targets = ops.convert_to_numpy(class_mask_targets(masks, np.where(CLASSES == 1, 0, CLASSES), K))
    first = model.fit(x, targets, epochs=3, batch_size=N, verbose=0).history["loss"]
    assert first[0] == pytest.approx(np.log(2), rel=1e-5) and first[-1] < first[0]
    kernel = model.layers[-1].get_weights()[0][0, 0]
    assert kernel[:, [0, 2]].all() and not kernel[:, 1].any()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    found = loaded.evaluate(x, targets, batch_size=N, verbose=0)
    assert found == pytest.approx(model.evaluate(x, targets, batch_size=N, verbose=0))


def test_its_config_makes_it_again():
    loss = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(ClassMaskCrossentropy(False, 255, name="masks"))
    )
    assert isinstance(loss, ClassMaskCrossentropy)
    assert (loss.from_logits, loss.ignore_class, loss.name) == (False, 255, "masks")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda y, z: ClassMaskCrossentropy()(y[:, :6], z),
            r"alike.*shapes \(5, 6, 7, 3\) and \(5, 7, 7, 3\)",
        ),
        (
            lambda y, z: ClassMaskCrossentropy()(y[..., :2], z),
            "`y_true` and `y_pred` must be alike",
        ),
        (lambda y, z: ClassMaskCrossentropy()(y[..., 0], z[..., 0]), r"\(N, h, w, K\)"),
        (lambda y, z: class_mask_targets(y[..., 0], [0, 1, 2, 3, 0], 3), "from 0 to 2.*-1.*0 to 3"),
        (lambda y, z: class_mask_targets(y[..., 0], [0, 1, -2, 0, 0], 3), "classes from -2 to 1"),
        (lambda y, z: class_mask_targets(y, CLASSES, 3), r"`masks` must be \(N, h, w\)"),
    ],
)
def test_wrong_arguments(masks, logits, call, message):
    targets = ops.convert_to_numpy(class_mask_targets(masks, CLASSES, K))
    with pytest.raises(ValueError, match=message):
        call(targets, logits)
