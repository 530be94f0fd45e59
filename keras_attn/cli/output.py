"""What several commands print."""

from __future__ import annotations

import json


def print_metrics(metrics: dict[str, float], images: int) -> None:
    """One line of JSON, on `images` images."""
    rounded = {key: round(value, 4) for key, value in metrics.items()}
    print(json.dumps({**rounded, "images": images}))
