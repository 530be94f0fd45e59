"""Benchmarks and trainings, from the CSVs of `benchmarks/results`."""

from __future__ import annotations

import json
import statistics
import tomllib
from collections.abc import Sequence
from typing import Any

from benchmarks.accuracy.claims import compare, read_claims
from benchmarks.accuracy.trainings import Training, read_queue
from generator.markdown import ROOT, read_csv, table

# Columns that say how a row was measured; they stand below the table, the hardware in it where
# rows differ there.
RUN = ("command", "versions", "keras", "tensorflow", "hardware", "date", "commit")


def pages() -> tuple[dict[str, str], list[Any]]:
    """The pages by their paths, and their part of the navigation."""
    with open(ROOT / "docs/results/tables.toml", "rb") as file:
        described = tomllib.load(file)
    texts = {f"results/{name}.md": _page(name, about) for name, about in described.items()}
    texts["results/trainings.md"] = _trainings()
    rows = [
        (f"[{a['title']}]({name}.md)", f"`benchmarks/results/{name}.csv`")
        for name, a in described.items()
    ]
    rows.append(("[Trainings](trainings.md)", "`benchmarks/results/trainings.csv`"))
    texts["results/index.md"] = (
        "# What was measured\n\nEach table is a file of the repository, and each of its rows has "
        "the command that made it.\n\n" + table(("table", "file"), rows) + LIMITS
    )
    return texts, [
        "results/index.md",
        *(f"results/{name}.md" for name in described),
        "results/trainings.md",
    ]


LIMITS = """
## What was not run

- GPUs, TPUs and several machines; several replicas and workers were processes of one machine.
- A real `tensorflow_model_server`, and containers of the production kit.
- The trainings on ImageNet, and most of those on CIFAR: see [Trainings](trainings.md).
- The published files of weights were not downloaded; random weights of the sources' own networks
  were compared instead.
"""


def _page(name: str, about: dict[str, Any]) -> str:
    rows = read_csv(f"benchmarks/results/{name}.csv")
    below = RUN if len({row["hardware"] for row in rows}) == 1 else set(RUN) - {"hardware"}
    columns = [key for key in rows[0] if key not in below and any(row[key] for row in rows)]
    cells = [[_short(row[key]) for key in columns] for row in rows]
    right = [i for i, key in enumerate(columns) if all(_is_number(row[key]) for row in rows)]
    heading = [key.replace("_", " ") for key in columns]
    parts = [
        f"---\nhide: [toc]\n---\n\n# {about['title']}",
        about["text"].strip(),
        table(heading, cells, right),
        how(rows),
    ]
    return "\n\n".join(parts) + "\n"


def how(rows: Sequence[dict[str, str]]) -> str:
    """How rows were measured: a line for each command, its versions, hardware and date."""
    lines = []
    for row in rows:
        command = f"`{row['command']}`, " if row.get("command") else ""
        versions = ", ".join(
            row[key] if key == "versions" else f"{key} {row[key]}"
            for key in ("versions", "keras", "tensorflow", "commit")
            if row.get(key)
        )
        lines.append(f"- {command}{versions}; {row['hardware']}; {row['date']}")
    return "## How\n\n" + "\n".join(dict.fromkeys(lines))


def _is_number(text: str) -> bool:
    try:
        return float(text) is not None
    except ValueError:
        return not text


def _short(text: str) -> str:
    """A number in at most four digits behind the point; a small one as it is."""
    if not _is_number(text) or "." not in text or 0 < abs(float(text)) < 1e-3:
        return text
    return f"{float(text):.4f}".rstrip("0").rstrip(".")


def _trainings() -> str:
    rows = read_csv("benchmarks/results/trainings.csv")
    done = {(row["training"], row["model"], int(row["seed"])): row for row in rows}
    seeds: dict[tuple[str, str], list[Training]] = {}
    for training in read_queue():
        seeds.setdefault((training.name, training.model), []).append(training)
    cells = []
    for (name, model), group in seeds.items():
        found = [done.get((name, model, training.seed)) for training in group]
        accuracies = [f"{100 * float(r['accuracy']):.2f} %" if r else "not run" for r in found]
        epochs, hours = (", ".join(row[key] for row in found if row) for key in ("epochs", "hours"))
        options = ", ".join(f"{k} {_value(v)}" for k, v in group[0].differs.items())
        of = ", ".join(str(training.seed) for training in group)
        cells.append(
            (name, f"`{model}`", of, ", ".join(dict.fromkeys(accuracies)), epochs, hours, options)
        )
    heading = ("training", "network", "seeds", "accuracy", "epochs", "hours", "differs in")
    curves = [
        _curve(row["training"], row["model"], slug)
        for row in rows
        if (slug := row["command"].split("--only ")[1].split()[0])
    ]
    return "\n\n".join(
        [
            "---\nhide: [toc]\n---\n\n# Trainings",
            TRAININGS.strip(),
            table(heading, cells, right=(3, 4, 5)),
            "## What each habit of fast training brings",
            STUDY.strip().format(spread=_spread(done)),
            _study(done),
            "## What the papers say, and what we found",
            CLAIMS.strip(),
            _claims(done),
            "## Curves",
            "Accuracy by epoch: the line is that of the training images, the points that of the "
            "10,000 test images.",
            '<div class="curves">' + "".join(curves) + "</div>",
            how(rows),
        ]
    )


TRAININGS = """
Accuracy on the 10,000 test images of CIFAR-10 after the last epoch. The queue of trainings is
`benchmarks/accuracy/queue.toml`, and `make results` goes on with it; what it has not come to is
"not run". The papers' own numbers are of 160 and more epochs; no row here repeats their trainings.

The images are a JPEG copy of CIFAR-10, which costs accuracy: don't compare these numbers with ones
that were measured on the original pixels.

The rows called "claim" ask what the papers claim. Each row called "study" changes one habit of fast
training. A row that was not run is run by

    python -m benchmarks.accuracy.trainings --only NAME --data-dir FOLDER

where NAME is a part of its name, and FOLDER where tensorflow-datasets has CIFAR-10 prepared.
"""


STUDY = """
Ten epochs, one seed: the accuracy, and the difference in points from the recipe as it is. Seeds
alone make a standard deviation of {spread:.2f} points (three seeds of both networks, with the
weight decay of 5e-3), so that differences below some 0.7 say nothing.

**Adopted for all rows: the weight decay of 5e-3**, which helps both networks. One cycle at twice
the rate helps both as much; both together were not tried. Label smoothing, the average of the
weights and the larger batch were not adopted: what they bring is not told apart from nothing.
Progressive sizes of the images, alternating flips, a higher rate for biases, a whitening first
convolution and other numbers of channels were not tried.
"""


CLAIMS = """
The means over the seeds are compared by Welch's t-test, two-sided. "Not told apart" is a
probability of 0.05 or more that the seeds alone make such a difference. With three seeds only large
differences can be told apart, and after 10 epochs no network is at the end of its training: what we
did not find, the papers may well have found.
"""


SPREAD_OF = "claim: squeeze-and-excitation against none"


def _study(done: dict[tuple[str, str, int], dict[str, str]]) -> str:
    """A table of the habits, and of what each changes for both networks."""
    study = [training for training in read_queue() if training.name.startswith("study: ")]
    models = list(dict.fromkeys(training.model for training in study))
    recipe, *_ = names = list(dict.fromkeys(training.name for training in study))
    cells = []
    for name in names:
        cells.append([name.removeprefix("study: ")])
        for model in models:
            row, base = done.get((name, model, 0)), float(done[recipe, model, 0]["accuracy"])
            if row is None:
                cells[-1] += ["not run", ""]
                continue
            accuracy, difference = (100 * (float(row["accuracy"]) - less) for less in (0, base))
            cells[-1] += [f"{accuracy:.2f} %", "" if name == recipe else f"{difference:+.2f}"]
    heading = ["habit", *(text for model in models for text in (f"`{model}`", "difference"))]
    return table(heading, cells, right=range(1, len(heading)))


def _spread(done: dict[tuple[str, str, int], dict[str, str]]) -> float:
    """The standard deviation that seeds make, in points, within each network."""
    groups: dict[str, list[float]] = {}
    for (name, model, _), row in done.items():
        if name == SPREAD_OF:
            groups.setdefault(model, []).append(100 * float(row["accuracy"]))
    return statistics.fmean(map(statistics.variance, groups.values())) ** 0.5


def _claims(done: dict[tuple[str, str, int], dict[str, str]]) -> str:
    """A table of what the papers say and of what the finished trainings say."""
    accuracies: dict[tuple[str, str], list[float]] = {}
    for (name, model, _), row in done.items():
        accuracies.setdefault((name, model), []).append(float(row["accuracy"]))
    cells = []
    for claim in read_claims():
        paper = f"{'yes' if claim.answer else 'no'}, {claim.paper}"
        found = compare(*(accuracies.get(side, []) for side in (claim.one, claim.other)))
        if found is None:
            cells.append((claim.asks, paper, "not run", "", ""))
            continue
        numbers = f"{found.difference:+.2f}", f"{found.probability:.2g}"
        cells.append((claim.asks, paper, found.answer, *numbers))
    heading = ("question", "the paper says", "we found", "difference in points", "p")
    return table(heading, cells, right=(3, 4))


def _value(value: Any) -> str:
    return (
        json.dumps(value).strip('"')
        if not isinstance(value, dict)
        else ", ".join(f"{k}={_value(v) or 'none'}" for k, v in value.items())
    )


def _curve(title: str, model: str, slug: str) -> str:
    """A curve of a training as SVG: accuracies from 0 to 1."""
    rows = read_csv(f"benchmarks/results/curves/{slug}.csv")
    last = max(int(row["epoch"]) for row in rows)

    def place(row: dict[str, str], key: str) -> tuple[float, float]:
        return 40 + 240 * (int(row["epoch"]) - 1) / max(1, last - 1), 130 - 110 * float(row[key])

    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(row, "accuracy") for row in rows))
    points = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        for x, y in (place(row, "val_accuracy") for row in rows if row["val_accuracy"])
    )
    grid = "".join(
        f'<line x1="40" x2="280" y1="{130 - 110 * v}" y2="{130 - 110 * v}"/>'
        f'<text x="34" y="{134 - 110 * v}">{v:.0%}</text>'
        for v in (0, 0.5, 1)
    )
    return (
        f'<figure><svg viewBox="0 0 290 150" role="img" aria-label="{title}, {model}">{grid}'
        f'<text x="40" y="146">1</text><text x="280" y="146">{last}</text>'
        f'<polyline points="{line}"/>{points}</svg>'
        f"<figcaption>{title}<br>{model}</figcaption></figure>"
    )
