"""The networks by name, as `networks.csv` lists them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

from keras_attn._hints import did_you_mean, fold
from keras_attn.applications.common.published import Published


class Network(NamedTuple):
    """A row of the table.

    Attributes:
        constructor: Name of the constructor.
        arguments: Those of its arguments that the name fixes.
        source: Paper and section, or the authors' file.
        published: Numbers to compare with, only such as were read and not recalled.
    """

    constructor: str
    arguments: Mapping[str, Any]
    source: str
    published: Published | None


def _read() -> dict[str, Network]:
    networks = {}
    table = resources.files(str(__package__)).joinpath("networks.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(table.splitlines()):
        published = None
        if row["published"]:
            numbers = {key: row[key] for key in ("parameters", "counted", "compute", "note")}
            published = Published(row["published"], **numbers)
        arguments = json.loads(row["arguments"] or "{}")
        networks[row["name"]] = Network(row["constructor"], arguments, row["source"], published)
    return networks


NETWORKS: dict[str, Network] = _read()


# What chooses where to look: networks that are trained by name, but have no row, as they have no
# weights and no cost of their own. Name -> side of the images that it was made for.
LOOKING = {"recurrent_attention": 28, "racnn": 32}


def trained_name(name: str) -> str:
    """The name of a network that is to be trained: one of the table or of `LOOKING`.

    Raises:
        ValueError: As `network_name`.
    """
    by_fold = {fold(each): each for each in LOOKING}
    return by_fold.get(fold(str(name))) or network_name(name)


def network_name(name: str) -> str:
    """The name in the table that is meant: capitals, `_`, `-` and spaces make no difference.

    Args:
        name: Name of a network, such as `"se_resnet50"` or `"SEResNet50"`.

    Raises:
        ValueError: If there is no such network; the message has the names nearest to it.

    Example:

    >>> network_name("SEResNet50")
    'se_resnet50'
    """
    if name in NETWORKS:
        return name
    by_fold = {fold(each): each for each in NETWORKS}
    if not isinstance(name, str) or fold(name) not in by_fold:
        raise ValueError(
            "`model` must be one of the networks that `keras-attn models` lists. "
            f"Received: model={name!r}{_nearest(str(name))}"
        )
    return by_fold[fold(name)]


def name_of_network(constructor: str, arguments: Mapping[str, Any]) -> str:
    """The name in the table of a network that a constructor makes with these arguments.

    Args:
        constructor: Name of the constructor.
        arguments: Its arguments; those that a name doesn't fix make no difference.

    Raises:
        ValueError: If no name is of such a network.

    Example:

    >>> name_of_network("CIFARResNet", {"depth": 20, "attention": "se"})
    'se_resnet20_cifar'
    """
    for name, row in NETWORKS.items():
        if row.constructor == constructor and row.arguments.items() <= arguments.items():
            return name
    raise ValueError(
        f"`constructor` must be one of the table with such arguments. Received: constructor="
        f"{constructor!r}, arguments={dict(arguments)}"
    )


def networks_with(part: str) -> list[str]:
    """The names that have this part, however it is spelled."""
    return [name for name in NETWORKS if part in name or fold(part) in fold(name)]


def _nearest(name: str) -> str:
    made = [each for each, row in NETWORKS.items() if fold(row.constructor) == fold(name)]
    if made:
        more = ", ..." if len(made) > 3 else ""
        return f"; {NETWORKS[made[0]].constructor} makes {', '.join(made[:3])}{more}"
    return did_you_mean(name, NETWORKS, count=3)
