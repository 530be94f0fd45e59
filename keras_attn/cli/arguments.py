"""Arguments that several commands have."""

from __future__ import annotations

import argparse
from typing import Any


def add_data(parser: argparse.ArgumentParser) -> None:
    """The data set of a command that takes a run's own by default."""
    parser.add_argument(
        "--data", help="'digits', or a name of tensorflow-datasets; default: the run's own"
    )
    parser.add_argument("--data-dir", help="where tensorflow-datasets has it prepared")


def add_run(parser: argparse.ArgumentParser) -> None:
    """The folder of a run."""
    parser.add_argument("folder", metavar="run", help="folder of a run, as `train` wrote it")


def add_data_set(parser: argparse.ArgumentParser) -> None:
    """The data set of a training."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data", help="'digits' (default), a folder of images, or a name of tensorflow-datasets"
    )
    group.add_argument("--data-dir", help="where tensorflow-datasets has it prepared")
    group.add_argument("--image-size", type=int, nargs="+", help="H and W, or one for both")
    group.add_argument("--limit", type=int, help="train on this many images only")
    group.add_argument("--label-noise", type=float, help="share of wrong labels; default: 0")
    group.add_argument("--test-share", type=float, help="of a folder; default: 0.2")
    group.add_argument("--augment", nargs="*", metavar="NAME", help="as crop flip mixup; none")


def add_schedule(parser: argparse.ArgumentParser) -> None:
    """How long, and how fast."""
    group = parser.add_argument_group("schedule")
    group.add_argument("--epochs", type=int, help="default: 4")
    group.add_argument("--batch-size", type=int, help="over all replicas; default: 128")
    group.add_argument("--optimizer", choices=["sgd", "adamw"], help="default: sgd")
    group.add_argument("--learning-rate", type=float, help="peak; default: the optimizer's own")
    group.add_argument("--schedule", choices=["cosine", "step"], help="default: cosine")
    group.add_argument("--milestones", type=float, nargs="+", help="of step; default: 0.5 0.75")
    group.add_argument("--warmup", type=float, help="share of the steps; default: 0.1")
    group.add_argument("--weight-decay", type=float, help="default: the optimizer's own")
    group.add_argument("--decay-all", action="store_const", const=True, help="biases and BN, too")
    group.add_argument("--clip-norm", type=float, help="bound of the gradient's norm")
    group.add_argument("--ema", type=float, help="keep this moving average of the weights")
    group.add_argument("--accumulation-steps", type=int, help="batches an update; default: 1")
    group.add_argument("--label-smoothing", type=float, help="default: 0")
    group.add_argument("--seed", type=int, default=0, help="default: %(default)s")


def add_strategy(parser: argparse.ArgumentParser) -> None:
    """Where a training runs."""
    group = parser.add_argument_group("how it runs")
    group.add_argument(
        "--strategy",
        choices=["one-device", "mirrored", "multi-worker", "parameter-server", "tpu"],
        help="the third and fourth: start it in each process of TF_CONFIG; default: one-device",
    )
    group.add_argument(
        "--worker-timeout", type=float, default=300, help="seconds to wait; default: %(default)s"
    )
    group.add_argument("--mixed-precision", choices=["float16", "bfloat16"])
    group.add_argument(
        "--synchronized", action="store_const", const=True, help="BatchNormalization, by replicas"
    )
    group.add_argument("--jit-compile", action="store_const", const=True, help="with XLA")
    group.add_argument("--steps-per-execution", type=int, help="default: 1")
    group.add_argument("--evaluate-every", type=int, help="epochs; default: 1")
    group.add_argument(
        "--restart",
        dest="resume",
        action="store_const",
        const=False,
        help="discard an unfinished training in the folder, rather than go on with it",
    )
    group.add_argument(
        "--overwrite",
        action="store_const",
        const=True,
        help="replace the finished run in the folder, or train the same one again",
    )
    group.add_argument("--tensorboard", action="store_const", const=True, help="write its logs")
    group.add_argument(
        "--deterministic", action="store_const", const=True, help="the same bits in each run"
    )


def given_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """What of the three groups was given: arguments of `load_dataset` and `train`."""
    others = ("run", "recipe", "weights", "out", "data_dir", "seed", "worker_timeout")
    given = {k: v for k, v in vars(args).items() if v is not None and k not in others}
    if "image_size" in given and len(given["image_size"]) == 1:
        given["image_size"] = given["image_size"][0]
    return given
