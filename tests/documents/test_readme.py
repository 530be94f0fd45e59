"""What README and guides say: length, sentences, numbers, commands, links."""

from __future__ import annotations

import csv
import json
import re
import shlex
import statistics

import pytest

from documents.test_examples import DOCUMENTS
from helpers.paths import ROOT
from keras_attn import applications, layers
from keras_attn.applications import MODELS
from keras_attn.cli import make_parser
from keras_attn.cost import read_costs
from programs.run_document import blocks

README = DOCUMENTS["README.md"].read_text(encoding="utf-8")
GUIDES = sorted((ROOT / "docs").glob("**/*.md")) + sorted((ROOT / "docs").glob("**/*.ipynb"))
WORDS = 35


def prose(text: str) -> str:
    """The sentences: no fences, tables, headings and links' targets."""
    text = re.sub(r"^```.*?^```$", "\n", text, flags=re.M | re.S)
    text = re.sub(r"^(\||#|!\[|---).*$", "\n", text, flags=re.M)
    text = re.sub(r"^( *[-*]|\d+\.) ", "\n\n", text, flags=re.M)
    return re.sub(r"\]\([^)]*\)", "]", text)


def sentences(text: str) -> list[str]:
    parts = re.split(r"(?<=[.:;!?])\**\s|\n\s*\n", prose(text))
    return [" ".join(part.split()) for part in parts if part.strip()]


@pytest.mark.parametrize("path", [DOCUMENTS["README.md"], *GUIDES], ids=lambda path: path.name)
def test_sentences_are_short(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells)
    found = [sentence.split() for sentence in sentences(text)]
    assert not [" ".join(words) for words in found if len(words) > WORDS]
    assert max(map(len, found)) > 15  # sentences are found


def test_it_is_short():
    assert len(README.splitlines()) <= 160


def test_numbers_of_networks():
    costs = read_costs()
    rows = re.findall(r"\| `(\w+)` \| ([\d,]+) \| ([\d.]+) \|$", README, flags=re.M)
    assert len(rows) == 5
    for name, weights, gmacs in rows:
        assert (weights, gmacs) == (
            f"{costs[name].parameters:,}",
            f"{costs[name].macs / 1e9:.3f}",
        ), name


def test_numbers_of_cifar10():
    accuracies: dict[str, list[float]] = {}
    with open(ROOT / "benchmarks/results/cifar10.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            accuracies.setdefault(row["network"], []).append(100 * float(row["accuracy"]))
            assert (row["images"], row["epochs"]) == ("10000", "10")
    said = re.search(r"the papers' claims.*?csv`\)", README, flags=re.S | re.I)[0]
    means = {name: f"{statistics.mean(of):.2f}" for name, of in accuracies.items()}
    assert re.findall(r"[\d.]+(?= %)", said) == [
        means[name] for name in ("ResNet-20", "SE-ResNet-20", "ResidualAttention-56")
    ]


def test_every_attention_layer_is_there():
    listed = set(re.findall(r"`(\w+)`", README.split("## The layers")[1].split("##")[0]))
    missing = [
        name
        for name, cls in vars(layers).items()
        if hasattr(getattr(cls, "call", None), "__code__")
        and "return_attention" in cls.call.__code__.co_varnames
        and name not in listed
    ]
    assert not missing


def test_every_constructor_is_there():
    table = README.split("## The networks")[1].split("##")[0]
    listed = set()
    for name in re.findall(r"`(\w+(?:/\w+)*)`", table):
        first, *others = name.split("/")
        stem = re.sub(r"\d+$", "", first)
        listed |= {first, *(stem + other for other in others)}
    made = {entry.construct.__name__ for entry in MODELS.values()}
    assert made <= listed
    assert listed - made - set(MODELS) == set()
    assert all(hasattr(applications, name) for name in made)


def commands():
    for name, path in DOCUMENTS.items():
        for language, code in blocks(path.read_text(encoding="utf-8")):
            if language != "bash":
                continue
            for line in code.replace("\\\n", " ").splitlines():
                if line.startswith("keras-attn "):
                    yield pytest.param(line, id=f"{name}: {line[:50]}")


@pytest.mark.parametrize("line", list(commands()))
def test_commands_are_understood(line):
    _, *arguments = shlex.split(line.split(" > ")[0], comments=True)
    make_parser().parse_args(arguments)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_ci_runs_the_readmes_commands():
    for target in ("test", "docs"):
        assert f" make {target}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
