"""What several commands print."""

from __future__ import annotations

import json
import os
import sys


def say_if_finished(was_finished: bool, out: str | os.PathLike[str]) -> None:
    """A line on stderr where a training found that it had been done before."""
    if was_finished:
        print(
            f"keras-attn: {os.fspath(out)} is finished already, with the same arguments: nothing "
            "was trained; --overwrite trains again",
            file=sys.stderr,
        )


def print_metrics(metrics: dict[str, float], images: int) -> None:
    """One line of JSON, on `images` images."""
    rounded = {key: round(value, 4) for key, value in metrics.items()}
    print(json.dumps({**rounded, "images": images}))
