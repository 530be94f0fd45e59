"""What folding BatchNormalization into the convolutions before it gains in an exported network.

    python benchmarks/folding.py [--models se_resnet20_cifar se_resnet50] [--rounds 15] [--out CSV]

Each network is exported twice, with `fold=True` and `fold=False`, and both SavedModels run in
sessions as TF Serving loads them, by turns in one process: medians of a call's milliseconds.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import platform
import shlex
import statistics
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_attn.applications import get_model
from keras_attn.export import export_saved_model
from keras_attn.export.saved_model import REPORT_FILE
from keras_attn.serving.session import ModelSession

FIELDS = ("model", "batch", "folded", "plain_ms", "folded_ms", "times_faster", "command",
          "versions", "hardware", "date")  # fmt: skip


def measure(name: str, batch: int, rounds: int, folder: Path) -> dict:
    """Exports a network both ways, and times the two."""
    keras.utils.set_random_seed(0)
    model = get_model(name)()
    sessions, count = {}, 0
    for fold in (False, True):
        path = export_saved_model(model, folder / f"{name}_{fold}", fold=fold)
        report = json.loads((path / REPORT_FILE).read_text(encoding="utf-8"))
        count = report["batch_normalizations_folded"]
        sessions[fold] = ModelSession(path)
    images = np.random.default_rng(0).random((batch, *model.input_shape[1:]), np.float32)
    seconds: dict[bool, list[float]] = {fold: [] for fold in sessions}
    for turn in range(rounds + 2):  # the first two are for warming up
        for fold, session in sessions.items():
            signature = session.signatures["serving_default"]
            feeds = {signature.inputs["image"].name: images}
            fetches = [output.name for output in signature.outputs.values()]
            start = time.perf_counter()
            session.run(feeds, fetches)
            if turn > 1:
                seconds[fold].append(time.perf_counter() - start)
    for session in sessions.values():
        session.close()
    ratio = statistics.median(
        plain / folded for plain, folded in zip(seconds[False], seconds[True], strict=True)
    )
    return {
        "model": name,
        "batch": batch,
        "folded": count,
        "plain_ms": round(1e3 * statistics.median(seconds[False]), 2),
        "folded_ms": round(1e3 * statistics.median(seconds[True]), 2),
        "times_faster": round(ratio, 3),
        "command": shlex.join(["python", *sys.argv]),
        "versions": f"tensorflow {tf.__version__}, keras {keras.__version__}",
        "hardware": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "date": datetime.date.today().isoformat(),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["se_resnet20_cifar", "se_resnet50"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("folding.csv"), help="%(default)s")
    arguments = parser.parse_args()
    rows = []
    print(f"{'model':24} {'batch':>5} {'folded':>6} {'plain ms':>9} {'folded ms':>9} {'times':>6}")
    for name in arguments.models:
        for batch in arguments.batches:
            with tempfile.TemporaryDirectory() as folder:
                row = measure(name, batch, arguments.rounds, Path(folder))
            rows.append(row)
            print(
                f"{name:24} {batch:5} {row['folded']:6} {row['plain_ms']:9.2f} "
                f"{row['folded_ms']:9.2f} {row['times_faster']:6.2f}",
                flush=True,
            )
    with open(arguments.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
