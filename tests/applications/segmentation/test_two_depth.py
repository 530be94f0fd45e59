"""The two depths: outputs and loss by hand, and what learns from what; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from helpers.oracles.dense import resized, softmax
from keras_attn.applications import TwoDepthFCN, TwoDepthSegmenter
from keras_attn.backend import value_and_gradient

MODES = pytest.mark.parametrize("mode", ["hard", "soft"])


def to_numpy(x):
    return ops.convert_to_numpy(x)


def make(backbone, **options):
    return TwoDepthFCN(backbone, 3, **{"gate_classes": (0, 2), "filters": (4, 3), **options})


@pytest.fixture(scope="module")
def labels(bright):
    masks = bright[1]
    return {"coarse": masks[:, ::2, ::2], "fine": (masks == 0).astype("uint8")}


def outputs_by_hand(fine, coarse, mode):
    by_class = resized(softmax(coarse.astype("float64")), fine.shape[1:3])
    gate = np.isin(by_class.argmax(-1), (0, 2)) if mode == "hard" else by_class[..., [0, 2]].sum(-1)
    return gate[..., None], gate[..., None] / (1 + np.exp(-fine))


@MODES
def test_its_outputs_by_hand(backbone, bright, randomized, mode):
    model = randomized(make(backbone, mode=mode))
    found = {name: to_numpy(y) for name, y in model(bright[0]).items()}
    assert found["coarse"].shape == (12, 6, 8, 3) and found["fine"].shape == (12, 12, 16, 1)
    gate, gated = outputs_by_hand(found["fine"], found["coarse"], mode)
    assert 0.05 < gate.mean() < 0.95
    np.testing.assert_allclose(found["gate"], gate, atol=1e-5)
    np.testing.assert_allclose(found["probabilities"], gated, atol=1e-5)


@MODES
@pytest.mark.parametrize("guided", [True, False])
def test_its_loss_by_hand(backbone, bright, labels, randomized, mode, guided):
    model = randomized(make(backbone, mode=mode))
    model.guided = guided
    outputs = model(bright[0])
    found = {name: to_numpy(y).astype("float64") for name, y in outputs.items()}
    right = np.take_along_axis(
        softmax(found["coarse"]), labels["coarse"][..., None].astype("int64"), axis=-1
    )
    z, t = found["fine"][..., 0], labels["fine"]
    each = np.logaddexp(0, z) - t * z
    gate = found["gate"][..., 0] if guided else np.ones(t.shape)
    fine = (gate * each).sum((1, 2)) / np.maximum(1, gate.sum((1, 2)))
    expected = -np.log(right).mean((1, 2, 3)) + fine
    loss = model.compute_loss(y=labels, y_pred=outputs)
    assert float(to_numpy(loss)) == pytest.approx(expected.mean(), rel=1e-4)
    with_channels = {name: y[..., None] for name, y in labels.items()}
    weights = np.arange(12.0)
    loss = model.compute_loss(y=with_channels, y_pred=outputs, sample_weight=weights)
    assert float(to_numpy(loss)) == pytest.approx((weights * expected).mean(), rel=1e-4)


@MODES
def test_the_fine_loss_does_not_reach_the_deep_network(backbone, bright, labels, randomized, mode):
    model = randomized(make(backbone, mode=mode))
    weights = model.trainable_variables
    others = [w.value for w in model.non_trainable_variables]
    for index, weight in enumerate(weights):

        def run(value, index=index, term="fine"):
            given = [w.value for w in weights]
            given[index] = value
            outputs = model.stateless_call(given, others, bright[0])[0]
            return ops.sum(model.loss_terms(labels, outputs)[term]), None

        of_fine = to_numpy(value_and_gradient(run, weight.value)[1])
        is_shallow = weight.path.startswith(("shallow", "fine"))
        assert bool(of_fine.any()) == is_shallow, weight.path


def test_a_closed_gate_is_a_loss_of_zero(backbone, bright, labels):
    model = make(backbone, gate_classes=0)
    kernel, _ = model.get_layer("coarse").get_weights()
    model.get_layer("coarse").set_weights([0 * kernel, np.array([-9.0, 9.0, 0.0])])
    outputs = model(bright[0])
    assert not to_numpy(outputs["gate"]).any() and not to_numpy(outputs["probabilities"]).any()
    assert not to_numpy(model.loss_terms(labels, outputs)["fine"]).any()


@pytest.mark.thorough
def test_it_trains_and_is_saved(backbone, bright, labels, tmp_path, no_xla):
    model = make(backbone)
    model.compile(keras.optimizers.Adam(0.03), metrics={"coarse": "sparse_categorical_accuracy"})
    many = np.tile(bright[0], (20, 1, 1, 1))
    wanted = {name: np.tile(y, (20, 1, 1)) for name, y in labels.items()}
    model.fit(many, wanted, batch_size=12, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, TwoDepthSegmenter)
    found = loaded.evaluate(bright[0], labels, verbose=0, return_dict=True)
    assert found["coarse_sparse_categorical_accuracy"] > 0.7
    expected = to_numpy(model(bright[0])["probabilities"])
    np.testing.assert_allclose(to_numpy(loaded(bright[0])["probabilities"]), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate_classes": 3}, r"`classes` must be classes of the coarse map, 0 to 2. .*\[3\]"),
        ({"filters": ()}, "`filters` must be a sequence of them"),
        ({"filters": (4, 0)}, "`filters` must be a positive integer"),
        ({"mode": "open"}, "`mode` must be one of 'hard', 'soft'"),
    ],
)
def test_wrong_arguments(backbone, options, message):
    with pytest.raises(ValueError, match=message):
        make(backbone, **options)


def test_masks_of_another_size(backbone, bright, labels):
    model = make(backbone)
    outputs = model(bright[0])
    with pytest.raises(ValueError, match=r"`y` must have 'coarse' of the map's size, \(B, 6, 8\)"):
        model.compute_loss(y={**labels, "coarse": labels["fine"]}, y_pred=outputs)
    with pytest.raises(ValueError, match="`y` must be a dict with 'fine'. Received: y=dict"):
        model.compute_loss(y={"coarse": labels["coarse"]}, y_pred=outputs)
