"""How long `import keras_attn` and building each network take: prints a table, writes a CSV.

    python benchmarks/build_time.py [--out build_time.csv] [PART]

The import is timed in fresh processes, `import keras` and `import keras_attn` by turns, and the
median difference is given. Each network is built once, in one process.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import platform
import statistics
import subprocess
import sys
import time

import keras
from measuring import hardware

from keras_attn.applications import MODELS

TIMER = """
import time
start = time.perf_counter()
import keras
between = time.perf_counter()
import keras_attn
print(time.perf_counter() - between)
"""


def import_seconds(rounds: int = 5) -> float:
    """The median of what `import keras_attn` adds to `import keras`."""
    seconds = []
    for _ in range(rounds):
        done = subprocess.run([sys.executable, "-c", TIMER], capture_output=True, text=True)
        seconds.append(float(done.stdout.split()[-1]))
    return statistics.median(seconds)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", nargs="?", default="", help="networks whose names have this part")
    parser.add_argument("--out", default="build_time.csv", help="default: %(default)s")
    arguments = parser.parse_args()
    rows = [("import keras_attn, beside keras", import_seconds())]
    print(f"{rows[0][0]:34} {rows[0][1]:6.2f} s", flush=True)
    for name, entry in MODELS.items():
        if arguments.part in name:
            keras.backend.clear_session()
            start = time.perf_counter()
            entry()
            rows.append((name, time.perf_counter() - start))
            print(f"{name:34} {rows[-1][1]:6.2f} s", flush=True)
    with open(arguments.out, "w", newline="", encoding="utf-8") as file:
        file.write(f"# {' '.join(sys.argv)}; {datetime.date.today()}; {hardware()}; ")
        file.write(f"Python {platform.python_version()}, keras {keras.__version__}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "seconds"])
        writer.writerows((name, f"{seconds:.3f}") for name, seconds in rows)


if __name__ == "__main__":
    main()
