"""An option of a training is one field: signatures, flags, records, recipes and files follow it."""

import argparse
import dataclasses
import inspect
import json
from typing import Annotated

import pytest

from keras_attn.cli.arguments import add_training
from keras_attn.finetune import finetune
from keras_attn.training import TrainingConfig, train
from keras_attn.training.config import OPTIONS
from keras_attn.training.options import COUNT, lists_options, options_of, takes_options
from keras_attn.training.recipes import Recipe
from keras_attn.training.recipes.files import recipe_text

FIELDS = {field.name: field for field in dataclasses.fields(TrainingConfig)}
OWN = {"build_model", "dataset", "out", "config", "callbacks", "resume", "overwrite"}
WITHOUT_FLAG = {"learning_rate_factors", "weight_decay_factors", "verbose"}
OTHER_FLAGS = {
    "help", "data", "data_dir", "image_size", "limit", "label_noise", "test_share",
    "skip_unreadable", "squash", "crop", "interpolation",
    "worker_timeout", "resume", "overwrite",
}  # fmt: skip


def test_signatures_have_every_option():
    parameters = inspect.signature(train).parameters
    assert set(parameters) == OWN | set(FIELDS)
    for name, field in FIELDS.items():
        expected = inspect.Parameter.empty if name == "epochs" else field.default
        assert parameters[name].default is expected
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["seed"].annotation is int
    assert parameters["strategy"].annotation == "str | tf.distribute.Strategy"
    tuned = set(inspect.signature(finetune).parameters)
    assert set(FIELDS) - tuned == {"learning_rate_factors"}


def test_train_has_at_most_eight_parameters_of_its_own():
    code = train.__code__
    own = code.co_argcount + code.co_kwonlyargcount
    assert set(code.co_varnames[:own]) == OWN and own <= 8


def test_documents_have_every_option():
    for described in (TrainingConfig, train, finetune):
        doc = " ".join(inspect.getdoc(described).split())
        for name, option in OPTIONS.items():
            assert f" {name}: {option.text}" in doc
    assert 'One of "cosine", "step".' in inspect.getdoc(train)


def test_flags_have_every_option():
    parser = argparse.ArgumentParser()
    add_training(parser)
    actions = {action.dest: action for action in parser._actions}
    assert set(actions) - OTHER_FLAGS == set(FIELDS) - WITHOUT_FLAG
    for name in set(FIELDS) - WITHOUT_FLAG:
        assert actions[name].default is None and actions[name].help
        assert actions[name].option_strings == ["--" + name.replace("_", "-")]
    assert actions["seed"].help.endswith(". Default: 0.")
    assert actions["milestones"].help.endswith(". Default: 0.5 0.75.")
    assert actions["optimizer"].help.startswith("SGD")
    given = vars(parser.parse_args(["--augment", "--milestones", "0.2", "0.4", "--jit-compile"]))
    assert (given["augment"], given["milestones"], given["jit_compile"]) == ([], [0.2, 0.4], True)


def test_records_and_recipes_have_every_option():
    config = TrainingConfig(epochs=1)
    assert set(FIELDS) - set(config.record()) == {"profile", "tensorboard", "verbose"}
    recipe = Recipe(model="resnet20_cifar", data="digits", training=config)
    text = recipe_text(recipe, every_option=True)
    for name in FIELDS:
        assert any(line.removeprefix("# ").startswith(f"{name} =") for line in text.splitlines())


def test_a_new_option_is_one_field():
    """The machinery knows no option by name: a class with one more field has it everywhere."""

    @lists_options
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class More(TrainingConfig):
        patience: Annotated[int, COUNT("Epochs without a better one.")] = 5

    def start(out, **options):
        """Starts."""

    start = takes_options(More)(start)
    assert inspect.signature(start).parameters["patience"].default == 5
    assert "    patience: Epochs without a better one." in start.__doc__
    assert options_of(More)["patience"].rule.flag == {"type": int}
    with pytest.raises(ValueError, match="`patience` must be a positive integer. .*patience=0"):
        More(epochs=1, patience=0)
    assert More(epochs=1, patience=7).record()["patience"] == 7


def test_values_are_kept_alike():
    config = TrainingConfig(epochs=3, augment=["crop"], milestones=[0.5], ema=0.9)
    assert (config.augment, config.milestones) == (("crop",), (0.5,))
    assert config.learning_rate_factors == {}
    assert config == TrainingConfig(epochs=3, augment=("crop",), milestones=(0.5,), ema=0.9)
    assert TrainingConfig(**json.loads(json.dumps(config.record()))) == config.filled_in()


def test_the_optimizer_s_own_rate_is_filled_in_at_the_end():
    config = TrainingConfig(epochs=3)
    assert config.learning_rate is None
    assert config.record()["learning_rate"] == 0.1
    other = dataclasses.replace(config, optimizer="adamw")
    assert (other.record()["learning_rate"], other.record()["weight_decay"]) == (0.001, 0.05)
    assert TrainingConfig(epochs=3, weight_decay=0.0).record()["weight_decay"] == 0.0


def test_options_by_name_go_before_those_of_a_config():
    config = TrainingConfig(epochs=3, seed=5)
    assert TrainingConfig.of(config, {"epochs": 4}) == TrainingConfig(epochs=4, seed=5)
    assert TrainingConfig.of(None, {"epochs": 4}) == TrainingConfig(epochs=4)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (None, {"epoch": 3}, "There is no option 'epoch'; did you mean 'epochs'?"),
        (None, {"xyz": 3}, "There is no option 'xyz'; there are epochs, batch_size"),
        (None, {}, "epochs"),
        ({"epochs": 3}, {}, "`config` must be a TrainingConfig. Received: config={'epochs': 3}"),
    ],
)
def test_what_is_no_option(config, options, message):
    with pytest.raises(TypeError) as error:
        TrainingConfig.of(config, options)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be a positive integer. Received: .*0"),
        ({"warmup": True}, "`warmup` must be a number from 0 to below 1. Received: warmup=True"),
        ({"learning_rate_factors": 3}, "`learning_rate_factors` must be a mapping of patterns"),
        ({"keep_best": True, "ema": 0.9}, "`keep_best` must be False with `ema`"),
        ({"milestones": 0.5}, "`milestones` must be ascending shares"),
        ({"tensorboard": 1}, "`tensorboard` must be a bool"),
    ],
)
def test_wrong_values(options, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(epochs=1, **options)


def test_how_many_steps_an_epoch_has():
    config = TrainingConfig(epochs=1, batch_size=4, accumulation_steps=2, steps_per_execution=3)
    assert config.steps_per_epoch(53) == 12  # of 13 batches, two executions of three updates
    with pytest.raises(ValueError, match="must not ask for more than the 5 batches of a pass"):
        config.steps_per_epoch(23)
    with pytest.raises(ValueError, match="`batch_size` must not exceed the 3 training images"):
        config.steps_per_epoch(3)


@pytest.mark.parametrize(
    ("images", "batch"), [(3, 3), (9, 8), (51, 8), (127, 8), (128, 16), (1000, 64), (1437, 128)]
)
def test_a_batch_for_few_images(images, batch):
    assert TrainingConfig(epochs=1).for_images(images).batch == batch
    assert TrainingConfig(epochs=1, batch_size=5).for_images(images).batch == 5
