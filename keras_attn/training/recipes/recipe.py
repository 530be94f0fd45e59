"""What a recipe is, and how it is run."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_attn.applications import get_model
from keras_attn.data.by_name import DATA_OPTIONS, load_dataset
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.training.config import OPTIONS, TrainingConfig
from keras_attn.training.fit import train
from keras_attn.training.options import meant
from keras_attn.training.run_folder.runs import TrainResult

PARTS = ("model", "data", "model_options", "data_options", "training")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training as data.

    Attributes:
        model: Name of the network in `keras_attn.applications.MODELS`.
        data: Data set, as `load_dataset` takes it.
        training: Options of the training.
        data_options: Further arguments of `load_dataset`.
        model_options: Further arguments of the network's constructor.

    Raises:
        ValueError: If there is no such network, or an argument is unknown.

    Example:
        >>> training = TrainingConfig(epochs=10)
        >>> Recipe(model="se_resnet20_cifar", data="cifar10", training=training).model
        'se_resnet20_cifar'
    """

    model: str
    data: str
    training: TrainingConfig
    data_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    model_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        get_model(self.model)
        _check_keys("data_options", self.data_options, DATA_OPTIONS)
        if not isinstance(self.training, TrainingConfig):
            raise ValueError(
                "`training` must be a TrainingConfig; of a mapping, `Recipe.of` makes one. "
                f"Received: training={self.training!r}"
            )

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> "Recipe":
        """Makes a recipe of plain mappings, as a file holds them.

        Args:
            parts: `model`, `data`, `training`, and perhaps `data_options` and `model_options`.

        Raises:
            ValueError: If a part is missing or wrong, or a key of one unknown.

        Example:
            >>> parts = {"model": "resnet20_cifar", "data": "digits", "training": {"epochs": 3}}
            >>> Recipe.of(parts).training.epochs
            3
        """
        _check_keys("recipe", parts, PARTS)
        for name in PARTS:
            kind: type = str if name in ("model", "data") else Mapping
            if name in parts and not isinstance(parts[name], kind):
                raise ValueError(
                    f"`{name}` of a recipe must be a {'text' if kind is str else 'table'}. "
                    f"Received: {name}={parts[name]!r}"
                )
        for name in ("model", "data", "training"):
            if name not in parts:
                raise ValueError(f"A recipe must have a `{name}`. Received: no such key")
        options = parts["training"]
        _check_keys("training", options, OPTIONS)
        if "epochs" not in options:
            raise ValueError("`training` must say for how many `epochs`. Received: no such key")
        return cls(**{**parts, "training": TrainingConfig(**options)})

    def changed(self, **changes: Any) -> "Recipe":
        """The same with other arguments.

        Args:
            **changes: New values of `model`, `data`, `data_options`' keys, or options of the
                training. Another model has none of the old one's `model_options`.

        Raises:
            ValueError: If a name is none of these, or a value wrong.
        """
        _check_keys("changes", changes, ("model", "data", *DATA_OPTIONS, *OPTIONS))
        fields = {name: value for name, value in changes.items() if name in ("model", "data")}
        if "model" in fields:
            fields["model_options"] = {}
        data_options = {name: value for name, value in changes.items() if name in DATA_OPTIONS}
        options = {name: value for name, value in changes.items() if name in OPTIONS}
        return dataclasses.replace(
            self,
            training=dataclasses.replace(self.training, **options),
            data_options={**self.data_options, **data_options},
            **fields,
        )


def run_recipe(
    recipe: Recipe,
    out: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    resume: bool = True,
    overwrite: bool = False,
) -> tuple[TrainResult, ImageDataset]:
    """Loads a recipe's data and trains its network.

    Args:
        recipe: Recipe that says what to do.
        out: Folder of the run.
        data_dir: Folder in which tensorflow-datasets has the data prepared.
        seed: Seed of the choice of images and of wrong labels, and of the training. `None` means
            the recipe's own.
        callbacks: Keras callbacks to run as well.
        resume: Same as in `train`.
        overwrite: Same as in `train`.

    Returns:
        The result, as `train` gives it, and the data.

    Raises:
        ValueError, FloatingPointError, OSError: As `load_dataset` and `train` do.

    Example:
        >>> recipe, _ = get_recipe("digits_se_resnet8")
        >>> result, data = run_recipe(recipe.changed(epochs=1), "runs/digits")
        >>> data.name
        'digits'
    """
    config = recipe.training if seed is None else dataclasses.replace(recipe.training, seed=seed)
    data = load_dataset(recipe.data, data_dir=data_dir, seed=config.seed, **recipe.data_options)
    entry = get_model(recipe.model)

    def build_model() -> keras.Model:
        return entry(
            input_shape=data.image_shape,
            classes=data.num_classes,
            include_preprocessing=True,
            **recipe.model_options,
        )

    result = train(
        build_model, data, out, config, callbacks=callbacks, resume=resume, overwrite=overwrite
    )
    return result, data


def _check_keys(
    what: str, given: Mapping[str, Any], known: Sequence[str] | Mapping[str, Any]
) -> None:
    """Raises a ValueError that names the first unknown key, and what may have been meant."""
    for key in given:
        if key not in known:
            raise ValueError(
                f"`{what}` must have no other keys than a recipe's. Received: {key!r}"
                f"{meant(str(key), known)}"
            )
