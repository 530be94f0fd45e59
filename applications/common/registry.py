"""Every network by its name, for the command line and for tables: `networks.csv`, as objects."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import keras

# Importing a family's module fills CONSTRUCTORS.
from keras_attn.applications import aa_resnet as aa_resnet
from keras_attn.applications import attention_resnet as attention_resnet
from keras_attn.applications import bn_inception as bn_inception
from keras_attn.applications import cifar_resnet as cifar_resnet
from keras_attn.applications import mnasnet as mnasnet
from keras_attn.applications import mobilenet as mobilenet
from keras_attn.applications import residual_attention as residual_attention
from keras_attn.applications import residual_attention_cifar as residual_attention_cifar
from keras_attn.applications import resnet as resnet
from keras_attn.applications import se_resnet as se_resnet
from keras_attn.applications import shufflenet as shufflenet
from keras_attn.applications import wide_resnet as wide_resnet
from keras_attn.applications.common.network import CONSTRUCTORS
from keras_attn.applications.common.published import Published as Published
from keras_attn.applications.common.published import printed_value as printed_value


@dataclass(frozen=True)
class Entry:
    """A network that can be asked for by name.

    Attributes:
        construct: Its constructor.
        input_size: Side of the default input, in pixels.
        source: Paper and section, or the authors' file.
        arguments: The constructor's arguments that the name fixes.
        published: Numbers to compare with, only such as were read and not recalled.
    """

    construct: Callable[..., keras.Model]
    input_size: int
    source: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    published: Published | None = None

    def __call__(self, **kwargs: Any) -> keras.Model:
        """Constructs the network; keyword arguments as its constructor's."""
        return self.construct(**{**self.arguments, **kwargs})


def _read() -> dict[str, Entry]:
    entries = {}
    table = resources.files(str(__package__)).joinpath("networks.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(table.splitlines()):
        construct, images = CONSTRUCTORS[row["constructor"]]
        published = None
        if row["published"]:
            numbers = {key: row[key] for key in ("parameters", "counted", "compute", "note")}
            published = Published(row["published"], **numbers)
        arguments = json.loads(row["arguments"] or "{}")
        entries[row["name"]] = Entry(construct, images.size, row["source"], arguments, published)
    return entries


MODELS: dict[str, Entry] = _read()


def get_model(name: str) -> Entry:
    """Finds a network by its name.

    Args:
        name: A key of `MODELS`.

    Returns:
        Its entry, which is called as its constructor is.

    Raises:
        ValueError: If there is no such network; the message has the names nearest to it.

    Example:

    >>> get_model("se_resnet20_cifar")(classes=7).output_shape
    (None, 7)
    """
    if name not in MODELS:
        near = difflib.get_close_matches(str(name), MODELS, n=3)
        hint = f", perhaps {' or '.join(map(repr, near))}" if near else ""
        raise ValueError(
            f"`model` must be one of the networks that `keras-attn models` lists{hint}. "
            f"Received: model={name!r}"
        )
    return MODELS[name]
