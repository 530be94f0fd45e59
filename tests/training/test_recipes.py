"""Recipes: each can be read, names what exists, has a record, and an unknown key is an error."""

import inspect

import pytest

from keras_attn.cli import main
from keras_attn.data.augment import check_augment
from keras_attn.data.by_name import load_dataset
from keras_attn.training import train
from keras_attn.training.recipes import Recipe, get_recipe, recipe_names, run_recipe


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe(name):
    recipe, record = get_recipe(name)
    assert len(record.splitlines()) > 4
    assert f"keras-attn train --recipe {name}" in record
    assert "Result: " in record or "Not run" in record
    known = inspect.signature(train).parameters
    assert set(recipe.training) <= set(known)
    check_augment(recipe.training.get("augment", ()))
    milestones = recipe.training.get("milestones", ())
    assert list(milestones) == sorted(milestones)
    assert (recipe.training.get("schedule") == "step") == bool(milestones)
    assert recipe.data in ("digits", "cifar10", "cifar100", "imagenet2012")
    assert (recipe.data == "imagenet2012") == ("image_size" in recipe.data_options)


def test_every_family_has_cifar_and_imagenet():
    names = recipe_names()
    for family in ("resnet20", "se_resnet20", "aa_resnet20", "residual_attention56"):
        assert {f"cifar10_{family}", f"cifar100_{family}"} <= set(names)
    for family in ("resnet50", "se_resnet50", "aa_resnet50", "residual_attention56"):
        assert f"imagenet_{family}" in names


def test_the_smallest_one_runs(tmp_path):
    recipe = get_recipe("digits_se_resnet8")[0]
    small = recipe.changed(epochs=1, limit=64, image_size=8, batch_size=32, verbose=0)
    result, data = run_recipe(small, tmp_path, seed=3)
    assert data.train_size == 64 and data.seed == 3
    assert result.model.name == "se_resnet8_cifar"


def test_changes():
    recipe = Recipe(
        model="se_resnet20_cifar", data="digits", training={"epochs": 2}, model_options={"depth": 8}
    )
    changed = recipe.changed(epochs=3, ema=0.9, label_noise=0.5, data="cifar10")
    assert changed.training == {"epochs": 3, "ema": 0.9}
    assert changed.data_options == {"label_noise": 0.5}
    assert (changed.data, changed.model_options) == ("cifar10", {"depth": 8})
    assert recipe.training == {"epochs": 2}
    assert recipe.changed(model="resnet20_cifar").model_options == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"training": {"epoch": 3}}, "`training` must have no other keys.*Received: 'epoch'"),
        ({"training": {}}, "must say for how many `epochs`"),
        ({"data_options": {"noise": 1}}, "`data_options` must have no other keys"),
        ({"model": "resnet21"}, "`model`"),
    ],
)
def test_wrong_recipes(arguments, message):
    good = {"model": "resnet20_cifar", "data": "digits", "training": {"epochs": 1}}
    with pytest.raises(ValueError, match=message):
        Recipe(**{**good, **arguments})
    with pytest.raises(ValueError, match="Received: 'speed'"):
        Recipe(**good).changed(speed=3)


def test_an_unknown_name():
    with pytest.raises(ValueError, match="must be a recipe, as .*cifar10_se_resnet20"):
        get_recipe("cifar_se_resnet20")


def test_the_command(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    assert main(["recipes", "cifar10_residual_attention56"]) == 0
    shown = capsys.readouterr().out
    assert "Residual Attention Network" in shown and "'milestones': (0.4, 0.6)" in shown


def test_the_options_are_those_of_the_functions():
    from keras_attn.training.recipes.recipe import DATA_OPTIONS, TRAINING_OPTIONS

    assert set(DATA_OPTIONS) < set(inspect.signature(load_dataset).parameters)
    assert set(TRAINING_OPTIONS) < set(inspect.signature(train).parameters)
    assert not set(DATA_OPTIONS) & set(TRAINING_OPTIONS)
