"""An entry in a table of recipes: the numbers, and what is known of them."""

import dataclasses
import textwrap

from keras_attn.training.recipes.recipe import Recipe

WIDTH = 95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A recipe and what is known of it.

    Attributes:
        recipe: Numbers of the training.
        title: Network and data.
        about: Recipe of the paper, and how ours differs.
        result: Result of the training: number, seeds, hours, hardware.
        flags: Further flags for the command that trains it.
    """

    recipe: Recipe
    title: str
    about: str
    result: str
    flags: str = "--data-dir FOLDER"

    def record(self, name: str) -> str:
        """What is known, in lines, and the command."""
        command = " ".join(
            part
            for part in (f"keras-attn train --recipe {name}", self.flags, "--out FOLDER")
            if part
        )
        parts = [self.title, self.about, self.result]
        filled = [textwrap.fill(part, WIDTH, break_on_hyphens=False) for part in parts]
        return "\n\n".join([*filled, f"    {command}"])
