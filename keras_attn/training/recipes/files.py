"""A recipe as a TOML file, which one can edit and give back.

TOML has no `None`: an option without a value is left out. What is at its default stands in a
comment, so that a file shows all that can be changed.
"""

import json
import os
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_attn._staging import written_whole
from keras_attn.data.options import DATA_OPTIONS
from keras_attn.training.config import OPTIONS, TrainingConfig
from keras_attn.training.recipes.recipe import Recipe

COMMENT = textwrap.TextWrapper(
    95, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
)
# What the tables' keys may be, beside those of the training.
TABLES = {
    "model_options": "arguments of the network's constructor",
    "data_options": f"of {', '.join(DATA_OPTIONS)}",
}


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Reads a recipe from a TOML file.

    Args:
        path: File, as `write_recipe` writes it.

    Raises:
        OSError: If the file can't be read.
        ValueError: If it is no TOML, or no recipe: a key is unknown, missing, or wrong.

    Example:
        >>> write_recipe("my.toml", get_recipe("digits_se_resnet8")[0])
        >>> read_recipe("my.toml").training.epochs
        10
    """
    try:
        return Recipe.of(tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except ValueError as error:  # of TOML's syntax and of UTF-8, too
        raise ValueError(f"{os.fspath(path)}: {error}") from error


def write_recipe(
    path: str | os.PathLike[str], recipe: Recipe, about: str = "", *, overwrite: bool = False
) -> None:
    """Writes a recipe to a TOML file, with all options of a training.

    Args:
        path: File, which must not be there yet, as it may be somebody's work.
        recipe: Recipe to write.
        about: Text for its head, such as a recipe's record.
        overwrite: Whether to replace a file that is there.

    Raises:
        FileExistsError: If the file is there.
        OSError: If it can't be written.
    """
    if os.path.lexists(path) and not overwrite:
        raise FileExistsError(
            f"`path` must be a file that is not there yet. Received: path={os.fspath(path)!r}"
        )
    head = "".join(f"# {line}".rstrip() + "\n" for line in about.splitlines())
    with written_whole(path) as beside:
        text = f"{head}\n" if head else ""
        beside.write_text(text + recipe_text(recipe, every_option=True), encoding="utf-8")


def recipe_text(recipe: Recipe, *, every_option: bool = False) -> str:
    """A recipe in TOML.

    Args:
        recipe: Recipe to write.
        every_option: Whether to explain all options of a training, and to list those at their
            defaults in comments.
    """
    lines = [_line("model", recipe.model), _line("data", recipe.data)]
    for name, keys in TABLES.items():
        given = getattr(recipe, name)
        if given or every_option:
            lines += ["", f"[{name}]" + every_option * f"  # {keys}"]
            lines += [_line(key, value) for key, value in given.items()]
    lines += ["", "[training]"]
    defaults = TrainingConfig(epochs=recipe.training.epochs)
    for name, option in OPTIONS.items():
        value = getattr(recipe.training, name)
        is_default = name != "epochs" and value == getattr(defaults, name)
        if every_option:
            lines += COMMENT.wrap(option.explained())
            lines += [_line(name, value, is_comment=is_default), ""]
        elif not is_default:
            lines.append(_line(name, value))
    return "\n".join(lines).rstrip() + "\n"


def _line(name: str, value: Any, *, is_comment: bool = False) -> str:
    text = f"{name} = {'' if value is None else _value(name, value)}".rstrip()
    return f"# {text}" if is_comment else text


def _value(name: str, value: Any) -> str:
    """A value in TOML's syntax, which is JSON's for texts, switches and numbers."""
    if isinstance(value, (bool, int, float, str)):
        return json.dumps(value, allow_nan=False)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(name, each) for each in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(_pairs(name, value))} }}" if value else "{}"
    raise ValueError(f"`{name}` must be a value that TOML has. Received: {name}={value!r}")


def _pairs(name: str, value: Mapping[str, Any]) -> Iterator[str]:
    for key, each in value.items():
        yield f"{json.dumps(key)} = {_value(name, each)}"
