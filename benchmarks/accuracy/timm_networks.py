"""The networks that read timm's weights: parameters, and the greatest difference of logits.

    python -m benchmarks.accuracy.timm_networks [--only NAME ...] [--out CSV]

`tests/golden/make_weights.py` ran timm's networks with random weights once, at their own size and
at another. Here ours read these weights, and their logits are compared. `unread` is how many of
timm's parameters nothing reads there: rows at the start of HaloNet's tables of positions.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.measuring import save
from keras_attn import applications
from keras_attn.layers import HaloAttention2D
from keras_attn.weights import SETS, WeightSet, convert

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from helpers.oracles.random_state import random_image, recorded  # noqa: E402

STATE = ("running_mean", "running_var", "num_batches_tracked")


def sets() -> dict[str, WeightSet]:
    """By timm's name of a network, the first of its sets, where timm's network was run."""
    found: dict[str, WeightSet] = {}
    for each in SETS:
        source, _, tag = each.metadata.tag.partition("/")
        name = tag.split(".")[0]
        if source == "timm" and (ROOT / f"tests/golden/weights/{name}.npz").exists():
            found.setdefault(name, each)
    return found


def compare(name: str, each: WeightSet) -> dict[str, Any]:
    """Our network with timm's weights, against timm's."""
    tensors, logits = recorded(name)
    construct = getattr(applications, each.metadata.network)
    model = construct(
        **each.arguments, input_shape=(None, None, 3), classes=11, classifier_activation=None
    )
    convert(model, tensors, each.naming)
    theirs = sum(array.size for key, array in tensors.items() if not key.endswith(STATE))
    ours = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    row: dict[str, Any] = {
        "network": name,
        "constructor": each.metadata.network,
        "tag": each.metadata.tag,
        "parameters": theirs,
        "ours": ours,
        "unread": _unread(model, tensors),
    }
    row["equal"] = "yes" if theirs - row["unread"] == ours else "no"
    for place, (size, expected) in zip(("own", "other"), logits.items(), strict=True):
        got = keras.ops.convert_to_numpy(model(random_image(*size)))
        row[f"{place}_size"] = "x".join(map(str, size))
        row[f"{place}_difference"] = f"{np.abs(got - expected).max():.1e}"
        row[f"{place}_greatest"] = f"{np.abs(expected).max():.2f}"
    keras.backend.clear_session()
    return row


def _unread(model: keras.Model, tensors: dict[str, np.ndarray]) -> int:
    """Parameters of HaloNet's tables that belong to no query."""
    unread = 0
    for layer in model.layers:
        if isinstance(layer, HaloAttention2D):
            stage, block = map(int, re.findall(r"\d+", layer.name))
            theirs = f"stages.{stage - 1}.{block - 1}.self_attn.pos_embed"
            for half, ours in (("width", layer.relative_width), ("height", layer.relative_height)):
                unread += tensors[f"{theirs}.{half}_rel"].size - int(np.prod(ours.shape))
    return unread


def main() -> None:
    """Prints the table, and writes it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="timm's names of networks")
    parser.add_argument("--out", help="the CSV")
    arguments = parser.parse_args()
    rows = []
    for name, each in sets().items():
        if arguments.only is None or name in arguments.only:
            rows.append(compare(name, each))
            print(*rows[-1].values(), flush=True)
    if arguments.out:
        save(arguments.out, rows, "keras", "tensorflow")


if __name__ == "__main__":
    main()
