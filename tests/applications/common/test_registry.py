"""The registry: every constructor is in it, every entry builds, and names are names."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.marks import rest_thorough
from helpers.network_checks import (
    LAYER_NAMES,
    as_trained,
    constructors,
    layer_names,
    pixels,
    read_layer_names,
)
from keras_attn._hints import fold
from keras_attn.applications import MODELS, get_model
from keras_attn.applications.common.registry import Entry, Published, printed_value
from keras_attn.cost import read_costs

GOLDENS = sorted(path.stem for path in LAYER_NAMES.glob("*.txt"))


def test_every_constructor_has_an_entry():
    assert len(constructors()) > 20
    assert {entry.construct for entry in MODELS.values()} == set(constructors())


def test_every_family_has_a_golden_of_its_layer_names():
    assert set(GOLDENS) <= set(MODELS)
    families = {construct.__module__ for construct in constructors()}
    assert {MODELS[name].construct.__module__ for name in GOLDENS} == families


# Those of ImageNet's residual networks are compared where their parameters are.
@pytest.mark.parametrize(
    "name",
    rest_thorough(
        (
            name
            for name in GOLDENS
            if MODELS[name].input_size == 32 or not re.search("resnet|resnext|senet|residual", name)
        ),
        fast=3,
    ),
)
def test_layer_names_are_the_checkpoints(name, no_values):
    """Changing one breaks every file of weights: a CHANGELOG line, and the golden anew."""
    assert layer_names(MODELS[name]()) == read_layer_names(name)


def check_builds(name):
    entry = MODELS[name]
    side = 64 if entry.arguments.get("mode") in ("theta", "theta_plus") else None  # of one size
    model = entry(include_top=False, pooling="avg", input_shape=(side, side, 3))
    assert model.name == name
    assert model.output_shape[0] is None and len(model.output_shape) == 2
    default = inspect.signature(entry.construct).parameters["weights"].default
    assert default is None
    keras.backend.clear_session()


@pytest.mark.parametrize("name", ["se_resnet20_cifar", "se_mobilenet", "mnasnet_0.75"])
def test_an_entry_builds(name, no_values):
    check_builds(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_entry_builds(name, no_values):
    check_builds(name)


@pytest.mark.parametrize("name", MODELS)
def test_entries(name):
    entry = MODELS[name]
    assert entry.source
    assert set(entry.arguments) <= set(inspect.signature(entry.construct).parameters)
    height, width, channels = read_costs()[name].input_shape
    assert height == width == entry.input_size
    assert channels == 3


@pytest.mark.parametrize("name", [name for name, entry in MODELS.items() if entry.published])
def test_published_numbers(name):
    """All of them can be read, and where ours differ by more than 1% a note says why."""
    published, cost = MODELS[name].published, read_costs()[name]
    assert published.source and (published.parameters or published.compute)
    assert published.counted in ("trainable", "all")
    ours = []
    if published.parameters:
        count = cost.parameters if published.counted == "all" else cost.trainable
        ours.append((published.parameters, count))
    if published.compute:
        flops = published.compute.endswith("FLOPs")
        ours.append((published.compute, cost.flops if flops else cost.macs))
    for text, number in ours:
        value, rounding = printed_value(text)
        assert published.note or abs(number - value) <= max(rounding, 0.01 * value), text


@pytest.mark.parametrize(
    "text, value",
    [
        ("36.2M", (36.2e6, 0.05e6)),
        ("28,088,024", (28_088_024.0, 0.5)),
        ("6.2 GMACs", (6.2e9, 0.05e9)),
        ("10.43 GFLOPs", (10.43e9, 0.005e9)),
        ("569 MMACs", (569e6, 0.5e6)),
    ],
)
def test_printed_value(text, value):
    assert printed_value(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["36.2 million", "M", "1.2.3M", ""])
def test_no_printed_value(text):
    with pytest.raises(ValueError, match="`text` must be a number, with M, MMACs"):
        printed_value(text)


def test_an_entrys_arguments_yield_to_the_users():
    entry = Entry(dict, 32, "here", {"depth": 20, "attention": "se"})
    assert entry(attention=None, classes=3) == {"depth": 20, "attention": None, "classes": 3}
    assert Published("there").compute == ""


@pytest.mark.parametrize(
    "name, hint",
    [
        ("se_resnet56_cifr", "did you mean se_resnet56_cifar"),
        ("resnet_5", "did you mean resnet50"),
        ("CIFARResNet", "CIFARResNet makes resnet20_cifar, "),
        ("transformer", "lists. Received: model='transformer'"),
        (None, "lists. Received: model=None"),
    ],
)
def test_no_such_network(name, hint):
    with pytest.raises(ValueError) as error:
        get_model(name)
    message = str(error.value)
    assert message.startswith("`model` must be one of the networks that `keras-attn models` lists")
    assert hint in message and len(message) < 200


# One of each family that no other file runs there, with the side of a small image.
ELSEWHERE = {
    "se_bn_inception": 64,
    "se_mobilenet": 64,
    "se_shufflenet": 64,
    "aa_mnasnet_0.75": 64,
    "aa_wide_resnet28x10": 12,
}
SCRIPT = """
import json, sys
import keras, numpy as np
from keras_attn.applications import MODELS
for name, side in json.loads(sys.argv[1]).items():
    x = np.load(f"{name}.npy")
    for form in ("channels_last", "channels_first"):
        keras.config.set_image_data_format(form)
        model = MODELS[name](
            weights=f"{name}.weights.h5", input_shape=x.shape[1:], classifier_activation=None
        )
        np.save(f"{name}.{form}.npy", keras.ops.convert_to_numpy(model(x)))
        x = x.transpose(0, 3, 1, 2)
"""


@pytest.mark.backend
@pytest.mark.parametrize(
    "backend, names",
    [
        ("torch", ["se_shufflenet"]),
        pytest.param("torch", [*ELSEWHERE], marks=pytest.mark.slow),
        pytest.param("jax", [*ELSEWHERE], marks=pytest.mark.slow),
    ],
    ids=["torch", "torch-all", "jax-all"],
)
def test_other_backends_and_channels_first(backend, names, tmp_path):
    """The same weights give the same logits, and the same in channels_first."""
    keras.utils.set_random_seed(0)
    expected, sides = {}, {name: ELSEWHERE[name] for name in names}
    for name, side in sides.items():
        model = as_trained(MODELS[name](input_shape=(side, side, 3), classifier_activation=None))
        model.save_weights(tmp_path / f"{name}.weights.h5")
        x = pixels(1, side, side, 3)
        np.save(tmp_path / f"{name}.npy", x)
        expected[name] = model(x).numpy()
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(sides)],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    for name, logits in expected.items():
        for form in ("channels_last", "channels_first"):
            assert_close(np.load(tmp_path / f"{name}.{form}.npy"), logits, 1e-4)


def test_capitals_and_strokes_make_no_difference():
    for name in ("se_resnet50", "SEResNet50", "seresnet50", "SE-ResNet 50"):
        assert get_model(name) is MODELS["se_resnet50"]
    folded = [fold(name) for name in MODELS]
    assert len(set(folded)) == len(folded)
