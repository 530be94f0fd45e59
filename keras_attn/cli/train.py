"""`keras-attn train`: train a network on a data set."""

from __future__ import annotations

import argparse

from keras_attn.cli.output import print_metrics

HELP = "train a network on a data set"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What isn't given is the recipe's, or else the library's own."""
    parser.add_argument("--recipe", help="start from this recipe, see `keras-attn recipes`")
    parser.add_argument("--model", help="name of the network, see `keras-attn models`")
    parser.add_argument("--out", required=True, help="the run's folder: model, history, record")
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
    group.add_argument("--tensorboard", action="store_const", const=True, help="write its logs")
    group.add_argument(
        "--deterministic", action="store_const", const=True, help="the same bits in each run"
    )


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_attn.training import get_strategy
    from keras_attn.training.recipes import Recipe, get_recipe, run_recipe

    given = {
        name: value
        for name, value in vars(args).items()
        if value is not None
        and name not in ("run", "recipe", "out", "data_dir", "seed", "worker_timeout")
    }
    if "image_size" in given and len(given["image_size"]) == 1:
        given["image_size"] = given["image_size"][0]
    if given.get("strategy") == "parameter-server":
        from keras_attn.training.parameter_server import is_server, serve_task

        if is_server():
            serve_task()
            return
        given["strategy"] = get_strategy("parameter-server")
    if given.get("strategy") == "multi-worker":  # before TensorFlow reads any data
        given["strategy"] = get_strategy("multi-worker", timeout=args.worker_timeout)
    if args.recipe:
        recipe = get_recipe(args.recipe)[0]
    elif args.model:
        recipe = Recipe(model=args.model, data="digits", training={"epochs": 4})
    else:
        raise ValueError("`train` needs `--model` or `--recipe`. Received: neither")
    result, data = run_recipe(
        recipe.changed(**given), args.out, data_dir=args.data_dir, seed=args.seed
    )
    print_metrics(result.metrics, data.test_size)
    for name, path in result.paths.items():
        print(f"{name:8} {path}")
