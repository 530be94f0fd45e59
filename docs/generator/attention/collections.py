"""The page of the collections that were looked through: each name, here or why not."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

from generator.markdown import ROOT, table
from keras_attn.kinds import KINDS

NAMES = ROOT / "docs/collections/names.toml"


@dataclass(frozen=True)
class Verdict:
    """What is said of a name.

    Attributes:
        what: `"kind"`, `"layer"`, `"network"` or `"no"`.
        name: Its name here: of a network, the constructor and, behind a slash, its variant.
        note: What is to be said of it.
    """

    what: str
    name: str
    note: str


def read() -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The collections, whose names have a `Verdict` each, and the reasons by their keys."""
    with open(NAMES, "rb") as file:
        data = tomllib.load(file)
    reasons = data["reasons"]
    for collection in data["collections"]:
        collection["names"] = {
            theirs: _verdict(text, reasons) for theirs, text in collection["names"].items()
        }
    return data["collections"], reasons


def _verdict(text: str, reasons: dict[str, str]) -> Verdict:
    said, _, note = (part.strip() for part in text.partition(":"))
    what, _, name = said.partition(" ")
    if name.startswith("@"):
        return Verdict(what, "", reasons[name[1:]])
    return Verdict(what, name, note)


def page() -> str:
    """The page."""
    collections, _ = read()
    parts = [ABOUT]
    for each in collections:
        names = each["names"]
        here = sum(verdict.what != "no" for verdict in names.values())
        rows = [
            (_code(theirs), _where(verdict), _sentence(verdict.note))
            for theirs, verdict in names.items()
        ]
        parts.append(
            f"## {each['title']}\n\n{each['source']}: {here} of {len(names)} rows are here.\n\n"
            + table(("theirs", "here", "what to know"), rows)
        )
    verdicts = [verdict for each in collections for verdict in each["names"].values()]
    only = [
        f"`{kind}`"
        for kind in KINDS
        if not any(kind == v.name or f"`{kind}`" in v.note for v in verdicts)
    ]
    parts.append(f"## In none of them\n\nThese kinds stand in no row above: {', '.join(only)}.\n")
    return "\n\n".join(parts)


ABOUT = """---
hide: [toc]
---

# Collections that were looked through

Each name of the collections that people copy attention from: under which name it is here, or why it
is not. What is here was compared with its authors' code or timm's, not with these collections;
where a collection's form is another, the last column says so."""


def _code(theirs: str) -> str:
    return f"`{theirs}`" if " " not in theirs else theirs


def _where(verdict: Verdict) -> str:
    if verdict.what == "no":
        return "no"
    name, _, variant = verdict.name.partition("/")
    if verdict.what == "layer":
        return f"[`{name}`](../layers/{name}.md)"
    if verdict.what == "kind":
        layer = KINDS[name].layer.__name__
        return f"`{name}`, [`{layer}`](../layers/{layer}.md)"
    return f'`{name}("{variant}")`' if variant else f"`{name}`"


def _sentence(note: str) -> str:
    if not note:
        return ""
    first = note[0] if note.startswith("timm") else note[0].upper()
    return f"{first}{note[1:]}{'' if note.endswith('.') else '.'}"
