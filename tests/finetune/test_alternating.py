"""RA-CNN's turns: what each one trains, and that a stopped training goes on; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.applications import RACNN
from keras_attn.finetune import Turns, alternate
from keras_attn.finetune import alternating as module
from keras_attn.finetune.alternating import FILE, strongest
from keras_attn.layers import AttentionProposal

LABELS = np.arange(12) % 3
TURNS = Turns(rounds=1, epochs=2, patience=2, pretraining_epochs=2, batch_size=6)


def make(seed=0, **options):
    keras.utils.set_random_seed(seed)
    image = keras.Input((12, 12, 1))
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(image)
    backbone = keras.Model(image, keras.layers.BatchNormalization()(x))
    return RACNN(backbone, 3, **{"scales": 2, "units": 8, "min_half": 0.2, **options})


@pytest.fixture(scope="module")
def images():
    noise = np.random.default_rng(0).uniform(0, 1, (12, 12, 12, 1))
    return (noise + LABELS[:, None, None, None]).astype("float32")


def test_each_turn_trains_its_own(images, tmp_path, monkeypatch):
    model, seen = make(), []

    def kept(self):
        seen.append([ops.convert_to_numpy(w) for w in self.model.weights])
        return {}

    monkeypatch.setattr(module._Run, "_terms", kept)
    model.margin = 1.0  # so that no pair is ranked as it should be
    before = [ops.convert_to_numpy(w) for w in model.weights]
    history = alternate(
        model, images, LABELS, tmp_path, turns=Turns(1, 2, 2, pretraining_epochs=0, batch_size=5)
    )
    assert [turn["turn"] for turn in history] == ["classification", "ranking"]
    assert [len(turn["losses"]) for turn in history] == [2, 2]
    of_proposals = [
        any(w is x for layer in proposals(model) for x in layer.weights) for w in model.weights
    ]
    assert sum(of_proposals) == 4
    for old, new, moved in ((before, seen[0], False), (seen[0], seen[1], True)):
        for weight, a, b, is_proposal in zip(model.weights, old, new, of_proposals, strict=True):
            assert np.array_equal(a, b) == (is_proposal != moved), weight.path


def proposals(model):
    return [layer for layer in model.layers if isinstance(layer, AttentionProposal)]


@pytest.mark.thorough
def test_a_turn_ends_when_its_loss_has_settled(images, tmp_path):
    turns = Turns(1, 50, 2, min_delta=1e9, pretraining_epochs=0)
    history = alternate(make(), images, LABELS, tmp_path, turns=turns)
    assert [len(turn["losses"]) for turn in history] == [3, 3]  # the first is the least so far
    for turn in history:
        assert set(turn) == {"round", "turn", "losses", "classification", "ranking"}


@pytest.fixture(scope="module")
def at_once(images, tmp_path_factory):
    model, folder = make(), tmp_path_factory.mktemp("whole")
    return model, alternate(model, images, LABELS, folder, turns=TURNS)


class Stopped(Exception):
    pass


@pytest.mark.thorough
@pytest.mark.parametrize(
    "after", [3, *(pytest.param(after, marks=pytest.mark.slow) for after in (1, 6))]
)
def test_it_goes_on_where_it_was_stopped(images, at_once, tmp_path, monkeypatch, after):
    """The file is written at the start, after the pre-training, each epoch and each turn."""
    whole, expected = at_once
    save, number = module._Run._save, 0

    def stopping(*args):
        nonlocal number
        save(*args)
        number += 1
        if number == after:
            raise Stopped

    monkeypatch.setattr(module._Run, "_save", stopping)
    with pytest.raises(Stopped):
        alternate(make(), images, LABELS, tmp_path / "parts", turns=TURNS)
    monkeypatch.undo()
    model = make(seed=5)  # whose weights are others
    found = alternate(model, images, LABELS, tmp_path / "parts", turns=TURNS)
    for got, turn in zip(found, expected, strict=True):
        np.testing.assert_allclose(got["losses"], turn["losses"], rtol=1e-5)
    for got, weight in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(got, weight, atol=1e-5)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [FILE]


@pytest.mark.thorough
def test_more_rounds_go_on_and_what_was_frozen_stays(images, tmp_path):
    model = make()
    model.get_layer("features1").trainable = False
    kernel = model.get_layer("features1").get_weights()
    first = alternate(model, images, LABELS, tmp_path, turns=TURNS)
    more = Turns(2, 2, 2, pretraining_epochs=2, batch_size=6)
    both = alternate(model, images, LABELS, tmp_path, turns=more)
    assert both[:2] == first and len(both) == 4
    for got, weight in zip(model.get_layer("features1").get_weights(), kernel, strict=True):
        np.testing.assert_array_equal(got, weight)
    assert not model.get_layer("features1").trainable
    assert model.get_layer("features2").trainable and model.get_layer("proposal1").trainable
    assert set(model.terms) == {"classification", "ranking"}


def test_no_round_is_the_pretraining_alone(images, tmp_path):
    model = make()
    before = {layer.name: layer.get_weights() for layer in model.layers}
    none = Turns(0, 1, 1, pretraining_epochs=1)
    assert alternate(model, images, LABELS, tmp_path, turns=none) == []
    for layer in model.layers:
        same = [
            np.array_equal(a, b)
            for a, b in zip(before[layer.name], layer.get_weights(), strict=True)
        ]
        assert all(same) != isinstance(layer, AttentionProposal), layer.name


@pytest.mark.thorough
def test_pretraining_finds_the_strongest_response(images, tmp_path):
    model = make()
    turns = Turns(1, 1, 1, pretraining_epochs=150, batch_size=12)
    proposal = proposals(model)[0]
    features = keras.Model(model.inputs[0], proposal.input)
    targets = strongest(features.predict(images, verbose=0), proposal)

    def distance():
        boxes = features.predict(images, verbose=0)
        found = ops.convert_to_numpy(proposal(boxes))
        return np.abs(found - targets).mean()

    before = distance()
    run = module._Run(model, images, LABELS, tmp_path, keras.optimizers.Adam(1e-2), turns)
    run.pretrain()
    assert distance() < before / 4
    assert run.state.pretrained == 1


def test_the_strongest_response_by_hand():
    features = np.zeros((2, 4, 8, 3), "float32")
    features[0, 1, 4] = 1, 2, 3
    features[0, 2, 2] = 0, 0, 5.5  # one channel's, whose mean is less
    features[1, 3, 7] = 1
    boxes = strongest(features, AttentionProposal(min_half=0.1))
    np.testing.assert_allclose(boxes[0], [-0.25, 0.125, 0.5, 0.5])
    np.testing.assert_allclose(boxes[1], [0.5, 0.5, 0.5, 0.5])  # moved inside
    third = strongest(features, AttentionProposal())
    np.testing.assert_allclose(third[0], [-0.25, 0.125, 2 / 3, 2 / 3], rtol=1e-6)


def test_frozen_proposals(images, tmp_path):
    model = make()
    for layer in proposals(model):
        layer.trainable = False
    with pytest.raises(
        ValueError, match="`model` must have a proposal that isn't frozen.*proposal1"
    ):
        alternate(model, images, LABELS, tmp_path, turns=TURNS)
    assert not list(tmp_path.iterdir())


def test_wrong_arguments(images, tmp_path):
    model = make()
    for call, message in (
        (lambda: alternate(keras.Sequential(), images, LABELS, tmp_path), "`model` must be an RA"),
        (lambda: alternate(model, images, LABELS[1:], tmp_path), "12 images, 11 labels"),
        *(
            (
                lambda given=given: alternate(
                    model, images, LABELS, tmp_path, turns=Turns(**given)
                ),
                f"`{name}` must be .*Received: {name}={value}",
            )
            for given in ({"rounds": -1}, {"pretraining_epochs": -1}, {"epochs": 0})
            for name, value in given.items()
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.thorough
def test_files_of_something_else_are_refused(images, tmp_path):
    alternate(make(), images, LABELS, tmp_path, turns=TURNS)
    with pytest.raises(ValueError, match=r"`folder` must be of the same data.*another labels$"):
        alternate(make(), images, LABELS[::-1], tmp_path, turns=TURNS)
    with pytest.raises(ValueError, match="`folder` must be of a model of the same architecture"):
        alternate(make(units=9), images, LABELS, tmp_path, turns=TURNS)
    (tmp_path / FILE).write_bytes(b"not an archive")
    with pytest.raises(ValueError, match=r"alternating.npz is no file of `alternate`"):
        alternate(make(), images, LABELS, tmp_path, turns=TURNS)
