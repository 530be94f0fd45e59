"""The queue of trainings that the documents quote: runs what is missing, one at a time.

    python -m benchmarks.accuracy.trainings --data-dir FOLDER [--only PART] [--missing]
    python -m benchmarks.accuracy.trainings --list
    python -m benchmarks.accuracy.trainings --collect

`queue.toml`, beside this file, says which, in order. FOLDER is where tensorflow-datasets has
CIFAR-10 prepared. The trainings live in a folder outside the repository (`--folder`, or
KERAS_ATTN_RESULTS, or ~/keras_attn_results), so that they outlive a checkout. They run at the
lowest priority, so that other work on the machine goes first, and may be stopped at any moment:
called again, the queue goes on after the last whole epoch. A training that fails is named, and
the next one begins.

A finished training is a file in its `rows`. `--collect` puts these, and the curves, among those of
`benchmarks/results/trainings.csv` and `benchmarks/results/curves/`; `--missing` leaves out what is
there already; `--list` prints where each stands.

A `[[training]]` of the queue has a `name`, `models` (names in `keras_attn.applications.MODELS`),
`seeds`, `data`, `model_options`, `data_options`, and options of `keras_attn.training.train`.
TOML has no None: an empty string stands for it in `model_options`.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import measuring

MODULE = "benchmarks.accuracy.trainings"
QUEUE = Path(__file__).with_name("queue.toml")
RESULTS = Path(__file__).parents[1] / "results"
OF_THE_RECIPE = ("data", "model_options", "data_options")
FIELDS = (
    "training", "model", "seed", "accuracy", "loss", "parameters", "images", "epochs", "hours",
    "options", "commit", "versions", "hardware", "date", "command",
)  # fmt: skip


@dataclass(frozen=True)
class Training:
    """One network, one seed, one line of the table."""

    name: str
    model: str
    seed: int
    recipe: dict[str, Any]  # the parts of a `Recipe`, without the model
    differs: dict[str, Any]  # what the queue says of this one, beside its defaults

    @property
    def key(self) -> tuple[str, str, int]:
        """What its line of the table is known by."""
        return self.name, self.model, self.seed

    @property
    def slug(self) -> str:
        """The name of its files."""
        words = re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-")
        return f"{words}_{self.model}_seed{self.seed}"


def read_queue(path: Path = QUEUE) -> list[Training]:
    """All trainings, in order."""
    queue = tomllib.loads(path.read_text(encoding="utf-8"))
    trainings = []
    for entry in queue["training"]:
        options = {**queue["defaults"], **entry}
        name, models, seeds = (options.pop(key) for key in ("name", "models", "seeds"))
        recipe = {key: options.pop(key) for key in OF_THE_RECIPE if key in options}
        given = recipe.get("model_options", {})
        recipe["model_options"] = {k: None if v == "" else v for k, v in given.items()}
        recipe["training"] = options
        differs = {k: v for k, v in entry.items() if k not in ("name", "models", "seeds")}
        trainings += [Training(name, m, s, recipe, differs) for s in seeds for m in models]
    return trainings


def run(training: Training, folder: Path, data_dir: str | None) -> None:
    """Trains, or goes on, in this process; then writes the row and the curve."""
    from keras_attn.training.recipes import Recipe, run_recipe

    recipe = Recipe.of({"model": training.model, **training.recipe})
    result, data = run_recipe(
        recipe, folder / "runs" / training.slug, data_dir=data_dir, seed=training.seed
    )
    record = json.loads(result.paths["run"].read_text(encoding="utf-8"))
    row = {
        "training": training.name,
        "model": training.model,
        "seed": training.seed,
        "accuracy": record["metrics"]["accuracy"],
        "loss": record["metrics"]["loss"],
        "parameters": record["model"]["parameters"],
        "images": data.train_size,
        "epochs": record["arguments"]["epochs"],
        "hours": round(record["seconds"] / 3600, 2),
        "options": json.dumps(training.differs),
        "commit": measuring.commit(),
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
        "hardware": measuring.hardware(),
        "date": record["date"][:10],
        "command": shlex.join(
            ["python", "-m", MODULE, "--only", training.slug, "--data-dir", "FOLDER"]
        ),
    }
    rows = folder / "rows"
    rows.mkdir(exist_ok=True)
    shutil.copy(result.paths["history"], rows / f"{training.slug}.csv")
    write_whole(rows / f"{training.slug}.json", json.dumps(row, indent=2) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Writes a file that is whole, or not there."""
    beside = path.with_name(f".{path.name}")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def collected() -> dict[tuple[str, str, int], dict[str, Any]]:
    """The rows of `benchmarks/results/trainings.csv`, by name, network and seed."""
    with open(RESULTS / "trainings.csv", newline="", encoding="utf-8") as file:
        return {(r["training"], r["model"], int(r["seed"])): r for r in csv.DictReader(file)}


def row_of(training: Training, folder: Path) -> dict[str, Any] | None:
    """The row of a finished training: the folder's, or the one that is collected."""
    path = folder / "rows" / f"{training.slug}.json"
    if path.is_file():
        row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return row
    return collected().get(training.key)


def state(training: Training, folder: Path) -> str:
    """Where a training stands, in a few words."""
    if row := row_of(training, folder):
        return f"{100 * float(row['accuracy']):.2f} %"
    whole = sorted((folder / "runs" / training.slug / "unfinished").glob("epoch-*.npz"))
    if whole:
        return f"{int(whole[-1].stem.split('-')[1])} of {training.recipe['training']['epochs']}"
    return "not run"


def collect(folder: Path) -> None:
    """Puts the finished rows and curves into `benchmarks/results`, in the order of the queue."""
    queue = read_queue()
    rows = [row for training in queue if (row := row_of(training, folder))]
    (RESULTS / "curves").mkdir(exist_ok=True)
    for training in queue:
        curve = folder / "rows" / f"{training.slug}.csv"
        if curve.is_file():
            shutil.copy(curve, RESULTS / "curves")
    with open(RESULTS / "trainings.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} rows in {RESULTS / 'trainings.csv'}")


def run_all(trainings: list[Training], folder: Path, data_dir: str | None) -> int:
    """Runs each in a process of its own, and gives the number of those that failed."""
    failed = 0
    fast = {"TF_ENABLE_ONEDNN_OPTS": "1", **os.environ}  # see benchmarks/profiling/onednn.py
    for training in trainings:
        if (folder / "rows" / f"{training.slug}.json").is_file():
            continue
        print(f"{training.slug}: {state(training, folder)}", flush=True)
        command = [sys.executable, "-m", MODULE, "--run", training.slug, "--folder", str(folder)]
        command += ["--data-dir", data_dir] if data_dir else []
        log = folder / "runs" / f"{training.slug}.log"
        log.parent.mkdir(exist_ok=True)
        with open(log, "a", encoding="utf-8") as out:
            code = subprocess.run(command, stdout=out, stderr=out, env=fast, check=False).returncode
        if code:
            failed += 1
            print(f"{training.slug}: failed with {code}, see {log}", flush=True)
        else:
            print(f"{training.slug}: {state(training, folder)}", flush=True)
    return failed


def go_last() -> None:
    """Lets all other work on the machine go first.

    Linux gives sessions equal shares, whatever niceness their processes have within them: the
    session's own is another number.
    """
    os.nice(19)
    session = Path("/proc/self/autogroup")
    if session.exists():
        session.write_text("19", encoding="ascii")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("KERAS_ATTN_RESULTS", "~/keras_attn_results")
    parser.add_argument("--folder", type=Path, default=default, help="default: %(default)s")
    parser.add_argument("--data-dir", help="where tensorflow-datasets has CIFAR-10 prepared")
    parser.add_argument("--only", default="", help="trainings whose names or files have this part")
    parser.add_argument(
        "--missing", action="store_true", help="leave out what benchmarks/results has"
    )
    parser.add_argument("--list", action="store_true", help="train nothing, say where each stands")
    parser.add_argument("--collect", action="store_true", help="write benchmarks/results")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder.expanduser().resolve()
    trainings = [t for t in read_queue() if arguments.only in t.name or arguments.only in t.slug]
    if not trainings:
        parser.error(f"argument --only: no training's name has the part {arguments.only!r}")
    if arguments.missing:
        there = collected()
        trainings = [training for training in trainings if training.key not in there]
    if arguments.run:
        run(next(t for t in trainings if t.slug == arguments.run), folder, arguments.data_dir)
        return 0
    if arguments.list:
        for training in trainings:
            print(f"{training.slug:75} {state(training, folder)}")
        return 0
    if arguments.collect:
        collect(folder)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            parser.error(f"argument --folder: another queue runs in {folder}")
        go_last()
        return min(1, run_all(trainings, folder, arguments.data_dir))


if __name__ == "__main__":
    sys.exit(main())
