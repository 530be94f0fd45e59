"""The recipes of all tables, by their names."""

import difflib

from keras_attn.training.recipes import cifar, digits, imagenet
from keras_attn.training.recipes.entry import Entry
from keras_attn.training.recipes.recipe import Recipe

RECIPES: dict[str, Entry] = {**cifar.RECIPES, **digits.RECIPES, **imagenet.RECIPES}


def recipe_names() -> list[str]:
    """The names of all recipes.

    Example:
        >>> "cifar10_se_resnet20" in recipe_names()
        True
    """
    return sorted(RECIPES)


def recipe_titles() -> dict[str, str]:
    """Name of a recipe -> network and data."""
    return {name: RECIPES[name].title for name in recipe_names()}


def get_recipe(name: str) -> tuple[Recipe, str]:
    """Finds a recipe.

    Args:
        name: Name of the recipe, one of `recipe_names()`.

    Returns:
        The `Recipe`, and its record: what it trains, the paper's recipe, and what was measured.

    Raises:
        ValueError: If there is none of that name.

    Example:
        >>> get_recipe("cifar10_se_resnet20")[0].training.augment
        ('crop', 'flip')
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(str(name), RECIPES, n=3) or recipe_names()
        raise ValueError(f"`name` must be a recipe, as {', '.join(near)}. Received: name={name!r}")
    return RECIPES[name].recipe, RECIPES[name].record(name)
