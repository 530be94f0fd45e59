"""What folding BatchNormalization into the convolutions before it gains in an exported network.

    python benchmarks/folding.py [--models se_resnet20_cifar se_resnet50] [--rounds 15] [--out CSV]

Each network is exported twice, with `fold=True` and `fold=False`, and both SavedModels run in
sessions as TF Serving loads them, by turns in one process: medians of a call's milliseconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from measuring import median_ratio, save, seconds_by_turns

from keras_attn.applications import get_model
from keras_attn.export import export_saved_model
from keras_attn.export.saved_model import REPORT_FILE
from keras_attn.serving.models.session import ModelSession


def measure(name: str, batch: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Exports a network both ways, and times the two."""
    keras.utils.set_random_seed(0)
    model = get_model(name)()
    images = np.random.default_rng(0).random((batch, *model.input_shape[1:]), np.float32)
    sessions, runs, count = [], {}, 0
    for fold in (False, True):
        path = export_saved_model(model, folder / f"{name}_{fold}", fold=fold)
        report = json.loads((path / REPORT_FILE).read_text(encoding="utf-8"))
        count = report["batch_normalizations_folded"]
        session = ModelSession(path)
        signature = session.signatures["serving_default"]
        feeds = {signature.inputs["image"].name: images}
        fetches = [output.name for output in signature.outputs.values()]
        sessions.append(session)
        runs[fold] = partial(session.run, feeds, fetches)
    seconds = seconds_by_turns(runs, rounds)
    for session in sessions:
        session.close()
    return {
        "model": name,
        "batch": batch,
        "folded": count,
        "plain_ms": round(1e3 * statistics.median(seconds[False]), 2),
        "folded_ms": round(1e3 * statistics.median(seconds[True]), 2),
        "times_faster": median_ratio(seconds[False], seconds[True]),
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
    save(arguments.out, rows, "tensorflow", "keras")


if __name__ == "__main__":
    main()
