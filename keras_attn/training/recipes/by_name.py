"""The recipes of all tables, by their names."""

from keras_attn._hints import did_you_mean, fold
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
    by_fold = {fold(each): each for each in RECIPES}
    if not isinstance(name, str) or fold(name) not in by_fold:
        raise ValueError(
            "`recipe` must be one of those that `keras-attn recipes` lists. "
            f"Received: recipe={name!r}{did_you_mean(name, RECIPES, count=3)}"
        )
    known = by_fold[fold(name)]
    return RECIPES[known].recipe, RECIPES[known].record(known)
