"""What a recipe is, how one is found by its name, and how it is run."""

import dataclasses
import difflib
import importlib
import inspect
import os
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_attn.applications import get_model
from keras_attn.data.by_name import load_dataset
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.training.fit import train
from keras_attn.training.run_folder.runs import TrainResult

_OF_THE_CALLER = ("build_model", "dataset", "out", "name", "data_dir", "seed", "callbacks")


def _options_of(function: Any) -> tuple[str, ...]:
    return tuple(n for n in inspect.signature(function).parameters if n not in _OF_THE_CALLER)


DATA_OPTIONS = _options_of(load_dataset)
TRAINING_OPTIONS = _options_of(train)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training as data.

    Attributes:
        model: The network's name in `keras_attn.applications.MODELS`.
        data: The data set, as `load_dataset` takes it.
        training: Arguments of `train`.
        data_options: Further arguments of `load_dataset`.
        model_options: Further arguments of the network's constructor.

    Raises:
        ValueError: If there is no such network, or an argument is unknown.

    Example:
        >>> Recipe(model="se_resnet20_cifar", data="cifar10", training={"epochs": 10}).model
        'se_resnet20_cifar'
    """

    model: str
    data: str
    training: Mapping[str, Any]
    data_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    model_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        get_model(self.model)
        for name, given, known in (
            ("training", self.training, TRAINING_OPTIONS),
            ("data_options", self.data_options, DATA_OPTIONS),
        ):
            unknown = sorted(set(given) - set(known))
            if unknown:
                raise ValueError(
                    f"`{name}` must have no other keys than {', '.join(known)}. "
                    f"Received: {', '.join(map(repr, unknown))}"
                )
        if "epochs" not in self.training:
            raise ValueError("`training` must say for how many `epochs`. Received: no such key")

    def changed(self, **changes: Any) -> "Recipe":
        """The same with other arguments.

        Args:
            **changes: `model`, `data`, or any key of `training` or `data_options`.

        Raises:
            ValueError: If a name is none of these.
        """
        training, data_options = dict(self.training), dict(self.data_options)
        fields = {}
        for name, value in changes.items():
            if name in ("model", "data"):
                fields[name] = value
            elif name in DATA_OPTIONS:
                data_options[name] = value
            else:  # checked by the constructor
                training[name] = value
        if "model" in fields:
            fields["model_options"] = {}
        return dataclasses.replace(self, training=training, data_options=data_options, **fields)


def recipe_names() -> list[str]:
    """The names of all recipes: those of their files.

    Example:
        >>> "cifar10_se_resnet20" in recipe_names()
        True
    """
    folder = str(Path(__file__).parent)
    return sorted(m.name for m in pkgutil.iter_modules([folder]) if m.name != "recipe")


def get_recipe(name: str) -> tuple[Recipe, str]:
    """Finds a recipe.

    Args:
        name: One of `recipe_names()`.

    Returns:
        The `Recipe`, and its record: what it trains, the paper's recipe, and what was measured.

    Raises:
        ValueError: If there is none of that name.

    Example:
        >>> get_recipe("cifar10_se_resnet20")[0].training["augment"]
        ('crop', 'flip')
    """
    names = recipe_names()
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=3) or names
        raise ValueError(f"`name` must be a recipe, as {', '.join(near)}. Received: name={name!r}")
    module = importlib.import_module(f"{__package__}.{name}")
    return module.RECIPE, inspect.cleandoc(module.__doc__ or "")


def run_recipe(
    recipe: Recipe,
    out: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    callbacks: Any = (),
) -> tuple[TrainResult, ImageDataset]:
    """Loads a recipe's data and trains its network.

    Args:
        recipe: What to do.
        out: The run's folder.
        data_dir: Where tensorflow-datasets has the data prepared.
        seed: Seeds the choice of images and of wrong labels, and the training.
        callbacks: Keras callbacks to run as well.

    Returns:
        What `train` gives, and the data.

    Raises:
        ValueError, FloatingPointError, OSError: As `load_dataset` and `train` do.

    Example:
        >>> recipe, _ = get_recipe("digits_se_resnet8")
        >>> result, data = run_recipe(recipe.changed(epochs=1), "runs/digits")
        >>> data.name
        'digits'
    """
    data = load_dataset(recipe.data, data_dir=data_dir, seed=seed, **recipe.data_options)
    entry = get_model(recipe.model)

    def build_model() -> Any:
        return entry(
            input_shape=data.image_shape,
            classes=data.num_classes,
            include_preprocessing=True,
            **recipe.model_options,
        )

    result = train(build_model, data, out, seed=seed, callbacks=callbacks, **recipe.training)
    return result, data
