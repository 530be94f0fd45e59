"""How each family of networks is trained: a file each, whose docstring is the record."""

from keras_attn.training.recipes.recipe import Recipe as Recipe
from keras_attn.training.recipes.recipe import get_recipe as get_recipe
from keras_attn.training.recipes.recipe import recipe_names as recipe_names
from keras_attn.training.recipes.recipe import run_recipe as run_recipe
