"""The trials by which the library is trusted, as one table.

    python -m benchmarks.reliability [--only PART ...] [--quick] [--long]

Each part is a file beside this one: a generator of `Trial`. Some 15 minutes on two quiet cores.
The table is printed as it grows, and on the standard error each attempt as it begins. Unless
`--quick`, it is written to `benchmarks/results/reliability.csv` with commit, command, hardware and
date. The exit status is 1 where anything was lost or wrong.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import measuring
from benchmarks.reliability.trial import Trial

PARTS = ("training", "weights", "export", "serving")
RESULTS = Path(__file__).parent.parent / "results" / "reliability.csv"
LINE = "{:9} {:66} {:>6} {:>8} {:>5} {:>5} {:>7}  {}"


def run_part(part: str, folder: Path, **lengths: bool) -> Iterator[Trial]:
    """The trials of one part; one that can't be run to its end counts as lost."""
    trials = importlib.import_module(f"benchmarks.reliability.{part}").trials
    known = inspect.signature(trials).parameters
    try:
        yield from trials(folder, **{k: v for k, v in lengths.items() if k in known})
    except Exception as error:
        yield Trial(
            part, "the trials themselves", 1, 0, 1, 0, 0.0, f"{type(error).__name__}: {error}"
        )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts")
    parser.add_argument("--quick", action="store_true", help="some seconds of each; no CSV")
    parser.add_argument(
        "--long", action="store_true", help="more of each, and an hour of mixed load on a server"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    trials = []
    print(LINE.format("part", "trial", "tried", "survived", "lost", "wrong", "seconds", ""))
    for part in arguments.only:
        with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
            for trial in run_part(part, Path(folder), quick=arguments.quick, long=arguments.long):
                trials.append(trial)
                print(LINE.format(*dataclasses.astuple(trial)), flush=True)
    if not arguments.quick:
        rows = [{**dataclasses.asdict(trial), "commit": measuring.commit()} for trial in trials]
        measuring.save(RESULTS, rows, "keras", "tensorflow")
    broken = sum(trial.lost + trial.wrong for trial in trials)
    print(f"{sum(trial.tried for trial in trials)} tried, {broken} lost or wrong")
    return min(1, broken)


if __name__ == "__main__":
    sys.exit(main())
