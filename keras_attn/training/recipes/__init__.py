"""How each family of networks is trained: tables of recipes, and files of them."""

from typing import TYPE_CHECKING

from keras_attn import _startup

if _startup.at_once(__name__) or TYPE_CHECKING:
    from keras_attn.training.recipes.by_name import get_recipe as get_recipe
    from keras_attn.training.recipes.by_name import recipe_names as recipe_names
    from keras_attn.training.recipes.by_name import recipe_titles as recipe_titles
    from keras_attn.training.recipes.files import read_recipe as read_recipe
    from keras_attn.training.recipes.files import write_recipe as write_recipe
    from keras_attn.training.recipes.recipe import Recipe as Recipe
    from keras_attn.training.recipes.run import run_recipe as run_recipe
else:
    __getattr__ = _startup.later(__name__)
