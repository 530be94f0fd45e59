"""What several commands read, print and say."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_attn.cli.stages import say, stage
from keras_attn.cli.tables import print_json
from keras_attn.training.run_folder.files import UNFINISHED

if TYPE_CHECKING:
    from keras_attn.data import ImageDataset
    from keras_attn.training import TrainResult


def read_data(name: str, **options: Any) -> ImageDataset:
    """A data set, and a line on what is in it."""
    from keras_attn.data import load_dataset

    with stage(f"reading {name}") as said:
        data = load_dataset(name, **options)
        said(
            f"read {data.name}: {data.train_size + data.test_size:,} images, {data.num_classes} "
            f"classes, {data.train_size:,} to train on, {data.test_size:,} held out"
        )
    for note in data.notes:
        say(note)
    return data


def name_of_data(name: str) -> str:
    """What a run on a data set is called after: the folder's own name, or the data set's."""
    path = Path(name).expanduser()
    return path.resolve().name if path.is_dir() else re.sub(r"[/:]", "-", name)


def say_where_it_goes_on(args: argparse.Namespace) -> None:
    """A line where an earlier training in the folder was stopped."""
    states = Path(args.out, UNFINISHED).glob("epoch-*.npz")
    epoch = max((int(path.stem.removeprefix("epoch-")) for path in states), default=0)
    if epoch and args.resume:
        say(f"going on after epoch {epoch} of the training that was stopped; --restart begins anew")


def say_if_finished(was_finished: bool, out: str | os.PathLike[str]) -> None:
    """What to do where a training found, as its log says, that it had been done before."""
    if was_finished:
        say(f"--overwrite trains {os.fspath(out)} again")


def print_metrics(metrics: dict[str, float], images: int) -> None:
    """One line of the accuracy and the loss on `images` images."""
    print(
        f"accuracy {metrics['accuracy']:.2%}, loss {metrics['loss']:.4f}, on {images:,} held-out "
        "images"
    )


def print_run(result: TrainResult, images: int, *, as_json: bool, **more: Path) -> None:
    """What a training gave: its metrics on the held-out images, and where its files are.

    Args:
        result: Result of `train`.
        images: Number of held-out images.
        as_json: Whether a program reads it.
        **more: Further files.
    """
    paths = {**result.paths, **more}
    if as_json:
        files = {kind: str(path) for kind, path in paths.items()}
        print_json({**result.metrics, "images": images, "files": files})
        return
    print_metrics(result.metrics, images)
    for kind, path in paths.items():
        print(f"{kind:8} {path}")
