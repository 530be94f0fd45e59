"""The ranking loss and its gradient by hand; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.backend import value_and_gradient
from keras_attn.losses import PairwiseRankingLoss

# Of the right classes, 1 and 2: (.5, .6, .58), (.4, .42, .7).
PROBABILITIES = np.array(
    [
        [[0.1, 0.5, 0.4], [0.2, 0.6, 0.2], [0.02, 0.58, 0.4]],
        [[0.3, 0.3, 0.4], [0.3, 0.28, 0.42], [0.2, 0.1, 0.7]],
    ],
    "float32",
)
LABELS = np.array([1, 2])


@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None], LABELS.astype("uint8")])
def test_by_hand(labels):
    each = PairwiseRankingLoss(reduction=None)(labels, PROBABILITIES)
    np.testing.assert_allclose(ops.convert_to_numpy(each), [0.07, 0.03], atol=1e-6)
    mean = PairwiseRankingLoss()(labels, PROBABILITIES)
    assert float(mean) == pytest.approx(0.05, abs=1e-6)
    wide = PairwiseRankingLoss(0.3, reduction="sum")(labels, PROBABILITIES)
    assert float(wide) == pytest.approx(0.2 + 0.32 + 0.28 + 0.02, abs=1e-6)


def test_its_gradient_is_one_on_the_pairs_that_are_violated():
    gradient = value_and_gradient(
        lambda p: (PairwiseRankingLoss(reduction="sum")(LABELS, p), None),
        ops.convert_to_tensor(PROBABILITIES),
    )[1]
    expected = np.zeros_like(PROBABILITIES)
    expected[0, 1, 1], expected[0, 2, 1] = 1, -1
    expected[1, 0, 2], expected[1, 1, 2] = 1, -1
    np.testing.assert_array_equal(ops.convert_to_numpy(gradient), expected)


def test_its_config_makes_it_again():
    loss = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(PairwiseRankingLoss(0.2, name="ranking"))
    )
    assert isinstance(loss, PairwiseRankingLoss)
    assert (loss.margin, loss.name) == (0.2, "ranking")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PairwiseRankingLoss(-0.1), "`margin` must be 0 or more. Received: margin=-0.1"),
        (lambda: PairwiseRankingLoss()(LABELS, PROBABILITIES[:, 0]), r"`y_pred` must be \(B, S, K"),
        (lambda: PairwiseRankingLoss()(LABELS, PROBABILITIES[:, :1]), r"`y_pred` .*\(2, 1, 3\)"),
        (lambda: PairwiseRankingLoss()(np.eye(4)[LABELS], PROBABILITIES), r"`y_true` .*\(2, 4\)"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
