"""Where the repository's files are, and how a program of a test's own finds them."""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
GOLDEN = TESTS / "golden"
WITH_HELPERS = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{TESTS}"}


def environment(**further: str) -> dict[str, str]:
    """Where `keras-attn` and `python` are this checkout and this interpreter."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **further}
