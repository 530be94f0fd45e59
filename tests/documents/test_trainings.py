"""The queue of trainings: each can be run, each claim asks two of them, the test is Welch's."""

import pytest

from benchmarks.accuracy.claims import compare, read_claims
from benchmarks.accuracy.trainings import read_queue
from keras_attn.applications import MODELS
from keras_attn.training.recipes import Recipe

QUEUE = {(each.name, each.model): each for each in read_queue()}


@pytest.mark.thorough
@pytest.mark.parametrize("name", QUEUE, ids=lambda name: QUEUE[name].slug)
def test_a_training_of_the_queue_can_be_run(name):
    training = QUEUE[name]
    Recipe.of({"model": training.model, **training.recipe})
    model = MODELS[training.model](weights=None, **training.recipe["model_options"])
    assert model.output_shape == (None, 10)


def test_each_claim_asks_two_trainings_of_several_seeds():
    seeds: dict = {}
    for each in read_queue():
        seeds.setdefault((each.name, each.model), []).append(each.seed)
    for claim in read_claims():
        assert claim.one != claim.other
        assert seeds[claim.one] == seeds[claim.other] == [0, 1, 2], claim.asks


def test_a_comparison_by_hand():
    """t = 3 / sqrt(1/3 + 1/3) = 3.674 with 4 degrees of freedom: p = 0.0213."""
    found = compare([0.84, 0.85, 0.86], [0.81, 0.82, 0.83])
    assert found is not None
    assert found.difference == pytest.approx(3)
    assert found.probability == pytest.approx(0.0213, abs=5e-5)
    assert found.answer == "ahead"
    behind = compare([0.81, 0.82, 0.83], [0.84, 0.85, 0.86])
    assert behind is not None and behind.answer == "behind"
    near = compare([0.81, 0.82, 0.83], [0.82, 0.83, 0.84])
    assert near is not None and near.answer == "not told apart"
    assert compare([0.5], [0.4, 0.4]) is None
