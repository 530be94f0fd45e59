"""Where the repository's files are, and how a program of a test's own finds them."""

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
GOLDEN = TESTS / "golden"
WITH_HELPERS = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{TESTS}"}
