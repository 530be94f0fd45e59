"""How a recipe is run."""

import dataclasses
import os
from collections.abc import Sequence

import keras

from keras_attn.applications import get_model
from keras_attn.data.by_name import load_dataset
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.training.fit import train
from keras_attn.training.recipes.recipe import Recipe
from keras_attn.training.run_folder.runs import TrainResult


def run_recipe(
    recipe: Recipe,
    out: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    dataset: ImageDataset | None = None,
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
        dataset: The recipe's data, where they have been loaded already.
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
    data = dataset or load_dataset(
        recipe.data, data_dir=data_dir, seed=config.seed, **recipe.data_options
    )
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
