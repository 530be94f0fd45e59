"""Recipes: each can be read, names what exists, has a record; files of them come back."""

import dataclasses
import inspect
import tomllib

import pytest

from keras_attn.cli import main
from keras_attn.data.by_name import load_dataset
from keras_attn.data.options import DATA_OPTIONS
from keras_attn.training import TrainingConfig, load_run
from keras_attn.training.config import OPTIONS
from keras_attn.training.recipes import (
    Recipe,
    get_recipe,
    read_recipe,
    recipe_names,
    recipe_titles,
    run_recipe,
    write_recipe,
)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe(name):
    recipe, record = get_recipe(name)
    assert len(record.splitlines()) > 4
    assert record.splitlines()[0] == recipe_titles()[name]
    assert max(len(line) for line in record.splitlines()[:-1]) <= 95
    assert f"keras-attn train --recipe {name} " in record
    assert "Result: " in record or "Not run" in record
    assert (recipe.training.schedule == "step") == (recipe.training.milestones != (0.5, 0.75))
    assert recipe.data in ("digits", "cifar10", "cifar100", "imagenet2012")
    assert (recipe.data == "imagenet2012") == ("image_size" in recipe.data_options)


def test_every_family_has_cifar_and_imagenet():
    names = recipe_names()
    for family in ("resnet20", "se_resnet20", "aa_resnet20", "residual_attention56"):
        assert {f"cifar10_{family}", f"cifar100_{family}"} <= set(names)
    for family in ("resnet50", "se_resnet50", "aa_resnet50", "residual_attention56"):
        assert f"imagenet_{family}" in names
    assert len(names) == 25


def test_a_recipe_s_numbers():
    """Those of the paper, in ours: Hu et al. (2018), section 5."""
    training = get_recipe("imagenet_se_resnext50")[0].training
    assert (training.epochs, training.batch_size, training.learning_rate) == (100, 1024, 0.6)
    assert (training.schedule, training.milestones) == ("step", (0.3, 0.6, 0.9))
    assert training.mixed_precision == "bfloat16"


def test_the_smallest_one_runs(tmp_path, no_xla):
    recipe = get_recipe("digits_se_resnet8")[0]
    small = recipe.changed(epochs=1, limit=64, image_size=8, batch_size=32, verbose=0)
    result, data = run_recipe(small, tmp_path, seed=3)
    assert data.train_size == 64 and data.seed == 3
    assert result.model.name == "se_resnet8_cifar"


def recipe_of(**training):
    return Recipe(
        model="se_resnet20_cifar",
        data="digits",
        training=TrainingConfig(epochs=2, **training),
        model_options={"depth": 8},
    )


def test_changes():
    recipe = recipe_of()
    changed = recipe.changed(epochs=3, ema=0.9, label_noise=0.5, data="cifar10")
    assert changed.training == TrainingConfig(epochs=3, ema=0.9)
    assert changed.data_options == {"label_noise": 0.5}
    assert (changed.data, changed.model_options) == ("cifar10", {"depth": 8})
    assert recipe.training == TrainingConfig(epochs=2)
    assert recipe.changed(model="resnet20_cifar").model_options == {}
    with pytest.raises(ValueError, match="Received: 'speed'"):
        recipe.changed(speed=3)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"training": {"epoch": 3}}, "`training` must have no .*'epoch'; did you mean 'epochs'"),
        ({"training": {}}, "must say for how many `epochs`"),
        ({"training": {"epochs": 0}}, "`epochs` must be a positive integer. Received: epochs=0"),
        ({"training": 3}, "`training` of a recipe must be a table. Received: training=3"),
        ({"data_options": {"noise": 1}}, "`data_options` must have no other .*'noise'"),
        ({"modell": "x"}, "`recipe` must have no other .*'modell'; did you mean 'model'"),
        ({"model": "resnet21"}, "`model`"),
        ({"data": None}, "`data` of a recipe must be a text"),
    ],
)
def test_wrong_recipes(parts, message):
    good = {"model": "resnet20_cifar", "data": "digits", "training": {"epochs": 1}}
    assert Recipe.of(good).training == TrainingConfig(epochs=1)
    with pytest.raises(ValueError, match=message):
        Recipe.of({**good, **parts})
    for name in good:
        with pytest.raises(ValueError, match=f"A recipe must have a `{name}`"):
            Recipe.of({key: value for key, value in good.items() if key != name})
    with pytest.raises(ValueError, match="`training` must be a TrainingConfig"):
        Recipe(**good)


def test_an_unknown_name():
    with pytest.raises(ValueError, match="did you mean .*cifar10_se_resnet20"):
        get_recipe("cifar_se_resnet20")


def test_the_command(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    assert main(["recipes", "cifar10_residual_attention56"]) == 0
    shown = capsys.readouterr().out
    assert "Residual Attention Network" in shown and "milestones = [0.4, 0.6]" in shown
    assert main(["recipes", "--out", "x.toml"]) == 1
    assert "`--out` needs the name of a recipe" in capsys.readouterr().err


def test_the_options_of_the_data_are_load_dataset_s():
    parameters = set(inspect.signature(load_dataset).parameters)
    assert set(DATA_OPTIONS) == parameters - {"name", "data_dir", "usual_size", "seed"}
    assert set(DATA_OPTIONS) == set(load_dataset("digits").options)
    assert not set(DATA_OPTIONS) & set(OPTIONS)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_comes_back_from_a_file(name, tmp_path):
    recipe, record = get_recipe(name)
    write_recipe(tmp_path / "my.toml", recipe, record)
    assert read_recipe(tmp_path / "my.toml") == recipe
    assert (tmp_path / "my.toml").read_text().startswith(f"# {record.splitlines()[0]}\n")


EVERY_OTHER = TrainingConfig(
    epochs=7, batch_size=3, optimizer="adamw", learning_rate=1e-5, schedule="step",
    milestones=(0.25,), warmup=0.0, weight_decay=0.0, decay_all=True, clip_norm=0.5, ema=0.75,
    accumulation_steps=2, learning_rate_factors={'st"age*': 0.5, "ä": 2},
    weight_decay_factors={"x": 0.0}, label_smoothing=0.25, augment=(), repeats=3,
    mixed_precision="float16", synchronized=True, strategy="mirrored", jit_compile=False,
    steps_per_execution=4, evaluate_every=6, patience=7, deterministic=True, seed=8,
    tensorboard=True, verbose=2,
)  # fmt: skip


def test_every_option_comes_back_from_a_file(tmp_path):
    defaults = TrainingConfig(epochs=1)
    # But two, which do not go with `ema` and with `steps_per_execution`.
    others = {"keep_best": True, "ema": None, "profile": True, "steps_per_execution": 1}
    for option in OPTIONS:
        same = getattr(EVERY_OTHER, option) == getattr(defaults, option)
        assert same == (option in ("keep_best", "profile")), option
    for training in (EVERY_OTHER, dataclasses.replace(EVERY_OTHER, **others)):
        recipe = dataclasses.replace(
            recipe_of(), training=training, data_options={"image_size": [8, 9], "limit": 64}
        )
        path = tmp_path / f"{training.ema}.toml"
        write_recipe(path, recipe)
        assert read_recipe(path) == recipe


def test_a_line_of_a_file_is_free_to_be_used(tmp_path):
    """Each commented line with a value is TOML, and is the default."""
    write_recipe(tmp_path / "my.toml", recipe_of())
    lines = (tmp_path / "my.toml").read_text().splitlines()
    names = tuple(f"# {name} = " for name in OPTIONS)
    used = [line.removeprefix("# ") if line.startswith(names) else line for line in lines]
    parsed = tomllib.loads("\n".join(used))
    assert len(parsed["training"]) == len(OPTIONS) - 7  # without a value at their defaults
    assert Recipe.of(parsed) == recipe_of()


def test_a_file_is_not_replaced(tmp_path):
    (tmp_path / "my.toml").write_text("mine")
    with pytest.raises(FileExistsError, match="`path` must be a file that is not there yet"):
        write_recipe(tmp_path / "my.toml", recipe_of())
    assert (tmp_path / "my.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = ", "my.toml: Invalid value"),
        ("model = 'resnet20_cifar'", "my.toml: A recipe must have a `data`"),
        (
            "model = 'resnet20_cifar'\ndata = 'digits'\n[training]\nepochs = 1\nbatchsize = 3",
            "my.toml: `training` .* 'batchsize'; did you mean 'batch_size'",
        ),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, text, message):
    (tmp_path / "my.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_recipe(tmp_path / "my.toml")


@pytest.mark.thorough
def test_train_by_an_edited_file(tmp_path, capsys, no_xla):
    path = tmp_path / "my.toml"
    assert main(["recipes", "digits_se_resnet8", "--out", str(path)]) == 0
    text = path.read_text().replace("epochs = 10", "epochs = 9")
    text = text.replace("[data_options]", "[data_options]\nlimit = 64\nimage_size = 8\n#")
    path.write_text(text.replace("# seed = 0", "seed = 3"))
    command = ["train", "--config", str(path), "--out", str(tmp_path / "run")]
    assert main([*command, "--epochs", "1", "--label-smoothing", "0.1"]) == 0  # flags go first
    record = load_run(tmp_path / "run")[1]
    arguments = record["arguments"]
    assert (arguments["epochs"], arguments["batch_size"], arguments["seed"]) == (1, 32, 3)
    assert arguments["label_smoothing"] == 0.1
    assert (record["data"]["seed"], record["data"]["train_size"]) == (3, 64)
    path.write_text(path.read_text().replace("seed = 3", "sede = 3"))
    assert main(command) == 1
    assert "'sede'; did you mean 'seed'" in capsys.readouterr().err
