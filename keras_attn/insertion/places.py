"""Which layers of a model are meant, and what an error says where none is."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

import keras

from keras_attn.insertion.inserted_attention import InsertedAttention

LISTED = 8  # names that an error lists


def chosen_places(model: keras.Model, where: Any) -> set[str]:
    """The names of what `where` picks."""
    places = [x for x in model.operations if not isinstance(x, keras.layers.InputLayer)]
    names = [x.name for x in places]
    if isinstance(where, str):
        chosen = {
            x.name
            for x in places
            if not isinstance(x, InsertedAttention) and fnmatch.fnmatchcase(x.name, where)
        }
    elif callable(where):
        chosen = {x.name for x in places if where(x)}
    else:
        chosen = set(where)
        unknown = sorted(chosen - set(names))
        if unknown:
            raise ValueError(
                f"`where` must hold names of the model's layers, such as {listed(names)}"
                f"{nested_hint(places)}. Received: where={where!r}, of which the model has no "
                f"{', '.join(map(repr, unknown))}"
            )
    if not chosen:
        raise ValueError(
            "`where` must pick a layer: a glob pattern, a list of names or a function of the "
            f"layer. The model's are {listed(names)}{nested_hint(places)}. "
            f"Received: where={where!r}"
        )
    return chosen


def listed(names: Sequence[str]) -> str:
    """The names for an error: all of a few, the first and the last of many."""
    if len(names) <= LISTED:
        return ", ".join(map(repr, names))
    shown = [*names[: LISTED // 2], *names[-LISTED // 2 :]]
    return ", ".join(map(repr, shown)) + f" and {len(names) - len(shown)} more"


def nested_hint(places: Sequence[Any]) -> str:
    """What to do where a model is among the places; empty where none is."""
    nested = next((x.name for x in places if isinstance(x, keras.Model)), None)
    if nested is None:
        return ""
    return f"; {nested!r} is a model of its own: insert into model.get_layer({nested!r})"


def model_data_format(model: keras.Model) -> str:
    """That of the model's layers, or Keras's where they don't agree."""
    formats = {getattr(layer, "data_format", None) for layer in model.layers} - {None}
    return str(formats.pop()) if len(formats) == 1 else keras.config.image_data_format()
