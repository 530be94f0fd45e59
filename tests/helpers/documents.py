"""Where the examples of documents run."""

import os
import sys
from pathlib import Path

from helpers.paths import ROOT


def environment(**further: str) -> dict[str, str]:
    """Where `keras-attn` and `python` are this checkout and this interpreter."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **further}
