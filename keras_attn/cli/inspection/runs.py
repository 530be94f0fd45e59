"""`keras-attn runs`: a table of the runs in a folder, and what came of them."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

from keras_attn.cli.arguments import add_json
from keras_attn.cli.tables import print_json, print_table
from keras_attn.training.run_folder.files import HISTORY_FILE, RUN_FILE, UNFINISHED

HELP = "List the runs in a folder, and what came of them."
EXAMPLE = "keras-attn runs runs"

STATES = f"{UNFINISHED}/epoch-*.npz"
COLUMNS = ("run", "state", "network", "data", "epochs", "accuracy", "loss", "minutes", "date")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "place",
        nargs="?",
        default="runs",
        metavar="FOLDER",
        help="Folder in which, however deep, the runs are. Default: %(default)s.",
    )
    add_json(parser)


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    if not Path(args.place).is_dir():
        raise FileNotFoundError(
            f"`place` must be a folder of runs. Received: place={args.place!r}, which is not there"
        )


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    place = Path(args.place)
    folders = {path.parent for path in place.rglob(RUN_FILE)}
    folders |= {path.parent.parent for path in place.rglob(STATES)}
    found = [_read(folder) for folder in sorted(folders)]
    found.sort(key=lambda each: each["date"] or "", reverse=True)
    if args.json:
        print_json(found)
    elif not found:
        print(f"no runs in {place}")
    else:
        rows = [{key: _cell(key, each[key]) for key in COLUMNS} for each in found]
        print_table(
            rows,
            narrow=("run", "state", "network", "data", "epochs", "accuracy"),
            right="epochs,accuracy,loss,minutes",
        )


def _read(folder: Path) -> dict[str, Any]:
    """What a run's folder says of it; what it doesn't say is `None`."""
    found: dict[str, Any] = dict.fromkeys(COLUMNS) | {"run": str(folder), "state": "finished"}
    if any(folder.glob(STATES)):
        return found | {"state": "unfinished", "epochs": _epochs(folder / UNFINISHED)}
    try:
        record = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        return found | {
            "network": record["model"]["name"],
            "data": record["data"]["name"],
            "epochs": record.get("epochs", record["arguments"].get("epochs")),
            "accuracy": record["metrics"].get("accuracy"),
            "loss": record["metrics"].get("loss"),
            "minutes": record["seconds"] / 60,
            "date": record["date"],
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return found | {"state": "unreadable"}


def _epochs(folder: Path) -> int | None:
    try:
        with open(folder / HISTORY_FILE, encoding="utf-8", newline="") as file:
            return sum(1 for _ in csv.DictReader(file))
    except OSError:
        return None


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key == "accuracy":
        return f"{value:.2%}"
    if key == "date":
        return str(value)[:16].replace("T", " ")
    return f"{value:.3f}" if isinstance(value, float) else str(value)
