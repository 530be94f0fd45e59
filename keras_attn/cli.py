"""The command line: `keras-attn train`, `evaluate`, `export`, `serve` and so on.

Each command reads its arguments, calls the library and prints what came of it. An error that a
user can cause is one line on stderr and exit code 1; a wrong command line exits with 2.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_attn._version import __version__

# The commands import what they need themselves, so that `--help` doesn't wait for TensorFlow's
# data sets or a server, and each works where only its own extra is installed.


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    parsed = make_parser().parse_args(arguments)
    try:
        return parsed.run(parsed) or 0
    except KeyboardInterrupt:
        print("keras-attn: stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError, ImportError, ArithmeticError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"keras-attn: error: {reason}", file=sys.stderr)
        return 1


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="keras-attn",
        description="Train, export, serve and explain image classifiers with attention.",
        epilog="`keras-attn COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"keras-attn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(run=run)
        return sub

    sub = command("train", train, "train a network on a data set")
    _add_training(sub)

    sub = command("recipes", recipes, "list the recipes, or show one")
    sub.add_argument("name", nargs="?", help="show this one's record and its arguments")

    sub = command("evaluate", evaluate, "measure a trained network on held-out images")
    _add_run(sub)
    _add_data(sub, default=None)
    sub.add_argument("--batch-size", type=int, default=128)

    sub = command("export", export, "write a SavedModel version folder for a server")
    _add_run(sub)
    sub.add_argument("--out", required=True, help="the model's base folder; a version goes into it")
    sub.add_argument("--version", type=int, help="default: the next one")

    sub = command("serve", serve, "serve an exported network over TF Serving's REST protocol")
    sub.add_argument("path", help="the model's base folder, as `export` wrote it")
    sub.add_argument("--name", help="name in the URL; default: the folder's")
    sub.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    sub.add_argument("--port", type=int, default=8501, help="default: %(default)s")

    sub = command("predict", predict, "classify an image file, here or on a server")
    source = sub.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", dest="folder", help="folder of a run")
    source.add_argument("--server", help="URL of a served model: http://HOST:PORT/v1/models/NAME")
    sub.add_argument("image", help="a PNG or JPEG file")
    sub.add_argument("--labels", help="with --server: file with a class name a line")
    sub.add_argument("--top", type=int, default=3, help="how many classes; default: %(default)s")

    sub = command("explain", explain, "draw what an attention layer looks at in an image")
    _add_run(sub)
    sub.add_argument("image", help="a PNG or JPEG file")
    sub.add_argument("--out", required=True, help="the PNG to write")
    sub.add_argument("--layer", help="name of the layer; default: the first with a mask or a map")

    sub = command("models", models, "list the networks, with what they cost")
    sub.add_argument("part", nargs="?", default="", help="only names with this in them")
    sub.add_argument(
        "--count", action="store_true", help="build and count each now: minutes for all of them"
    )
    sub.add_argument("--csv", metavar="FILE", help="write names and costs to this file, too")
    sub.add_argument(
        "--attention", action="store_true", help="what each kind of attention adds to ResNet-50"
    )
    return parser


def _add_training(parser: argparse.ArgumentParser) -> None:
    """Options of `train`: what isn't given is the recipe's, or else the library's own."""
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


def _add_data(parser: argparse.ArgumentParser, default: str | None) -> None:
    own = "default: %(default)s" if default else "default: the run's own"
    parser.add_argument(
        "--data", default=default, help=f"'digits', or a name of tensorflow-datasets; {own}"
    )
    parser.add_argument("--data-dir", help="where tensorflow-datasets has it prepared")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="run", help="folder of a run, as `train` wrote it")


def train(args: argparse.Namespace) -> None:
    """`keras-attn train`."""
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
    _print_metrics(result.metrics, data.test_size)
    for name, path in result.paths.items():
        print(f"{name:8} {path}")


def recipes(args: argparse.Namespace) -> None:
    """`keras-attn recipes`."""
    from keras_attn.training.recipes import get_recipe, recipe_names

    if not args.name:
        for name in recipe_names():
            print(f"{name:34} {get_recipe(name)[1].splitlines()[0]}")
        return
    recipe, record = get_recipe(args.name)
    print(record, end="\n\n")
    for field in dataclasses.fields(recipe):
        print(f"{field.name:14} {getattr(recipe, field.name)}")


def evaluate(args: argparse.Namespace) -> None:
    """`keras-attn evaluate`."""
    from keras_attn import training

    model, record = training.load_run(args.folder)
    own = record["data"]
    options = dict(own["options"]) if not args.data else {"image_size": own["image_shape"][:2]}
    data = training.load_dataset(
        args.data or own["name"], data_dir=args.data_dir, seed=own["seed"], **options
    )
    if not args.data and data.fingerprint() != own["fingerprint"]:
        print(
            "keras-attn: warning: the data differ from those that were trained on: images that are "
            "held out now may have been among them",
            file=sys.stderr,
        )
    _print_metrics(training.evaluate(model, data, batch_size=args.batch_size), data.test_size)


def export(args: argparse.Namespace) -> None:
    """`keras-attn export`."""
    from keras_attn import training
    from keras_attn.export import export_saved_model

    model, record = training.load_run(args.folder)
    path = export_saved_model(
        model, args.out, class_names=record["data"]["class_names"], version=args.version
    )
    print(f"exported, loaded back and compared: {path}")


def serve(args: argparse.Namespace) -> None:
    """`keras-attn serve`."""
    from keras_attn import serving

    logging.basicConfig(format="%(message)s", level=logging.INFO)
    serving.serve(args.path, name=args.name, host=args.host, port=args.port)


def predict(args: argparse.Namespace) -> None:
    """`keras-attn predict`."""
    from keras_attn.explain import read_image

    if args.top < 1:
        raise ValueError(f"`--top` must be a positive integer. Received: {args.top}")
    if args.folder:
        from keras_attn import training

        model, record = training.load_run(args.folder)
        image = read_image(args.image, tuple(record["data"]["image_shape"]))
        probabilities = model.predict(image[None].astype("float32"), verbose=0)[0].tolist()
        names = record["data"]["class_names"]
    else:
        from keras_attn.serving import client

        image = read_image(args.image, client.input_shape(args.server)[1:])
        [answer] = client.predict(args.server, [image.tolist()])
        probabilities = answer["probabilities"] if isinstance(answer, dict) else answer
        names = [str(i) for i in range(len(probabilities))]
        if args.labels:
            names = Path(args.labels).read_text(encoding="utf-8").splitlines()
            if len(names) != len(probabilities):
                raise ValueError(
                    f"`--labels` must have a line for each of the {len(probabilities)} classes. "
                    f"Received: {args.labels} with {len(names)} lines"
                )
    ranked = sorted(zip(probabilities, names, strict=True), reverse=True)
    for probability, name in ranked[: args.top]:
        print(f"{probability:7.2%}  {name}")


def explain(args: argparse.Namespace) -> None:
    """`keras-attn explain`."""
    from keras_attn import training
    from keras_attn.explain import explain, read_image

    model, record = training.load_run(args.folder)
    image = read_image(args.image, tuple(record["data"]["image_shape"]))
    print(explain(model, image, args.out, args.layer))


def models(args: argparse.Namespace) -> None:
    """`keras-attn models`."""
    if args.attention:
        from keras_attn.attention_costs import attention_table

        print(attention_table())
        return
    from keras_attn.applications import MODELS, get_model
    from keras_attn.cost import read_costs, write_costs

    names = [name for name in MODELS if args.part in name]
    if not names:
        get_model(args.part)  # raises, with the names nearest to it
    known = {} if args.count else read_costs()
    costs = {}
    for i, name in enumerate(names, start=1):
        if name not in known:
            print(f"[{i}/{len(names)}] counting {name} ...", file=sys.stderr, flush=True)
        costs[name] = known[name] if name in known else _count(MODELS[name])
    _print_models({name: MODELS[name] for name in names}, costs)
    if args.csv:
        write_costs(costs, args.csv)


def _count(entry: Any) -> Any:
    import keras

    from keras_attn.cost import count_cost

    cost = count_cost(entry())
    keras.backend.clear_session()  # or all the networks stay in memory
    return cost


def _print_models(entries: dict[str, Any], costs: dict[str, Any]) -> None:
    """The table: what we count, what is published, and how far apart they are."""
    rows = [("name", "input", "weights", "trainable", "GMACs", "GFLOPs", *_PUBLISHED, "source")]
    notes: list[str] = []
    for name, entry in entries.items():
        cost, published = costs[name], entry.published
        size = f"{entry.input_size}x{entry.input_size}"
        ours = (f"{cost.parameters:,}", f"{cost.trainable:,}")
        compute = (f"{cost.macs / 1e9:.3f}", f"{cost.flops / 1e9:.3f}")
        theirs, note = ("",) * 4, ""
        if published:
            of_counts = {"all": cost.parameters, "trainable": cost.trainable}
            of_compute = cost.flops if published.compute.endswith("FLOPs") else cost.macs
            theirs = (
                published.parameters,
                _difference(published.parameters, of_counts[published.counted]),
                published.compute,
                _difference(published.compute, of_compute),
            )
            if published.note:
                notes += [] if published.note in notes else [published.note]
                note = f" [{notes.index(published.note) + 1}]"
        rows.append((name, size, *ours, *compute, *theirs, entry.source + note))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if i in (0, len(row) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    print(_CONVENTION)
    for i, note in enumerate(notes, start=1):
        print(f"[{i}] {note}")


_PUBLISHED = ("published", "differs", "published", "differs")
_CONVENTION = """
weights: all, the moving statistics of BatchNormalization among them.
GMACs, GFLOPs: convolutions, dense layers and attention's products for one image, nothing else;
  one multiply-accumulate (MAC) is two FLOPs, whatever a paper calls them.
published: as its source prints it, and "=" where ours rounds to that, else how ours differs."""


def _difference(published: str, ours: int) -> str:
    from keras_attn.applications.registry import printed_value

    if not published:
        return ""
    value, rounding = printed_value(published)
    return "=" if abs(ours - value) <= rounding else f"{ours / value - 1:+.1%}"


def _print_metrics(metrics: dict[str, float], images: int) -> None:
    rounded = {key: round(value, 4) for key, value in metrics.items()}
    print(json.dumps({**rounded, "images": images}))


if __name__ == "__main__":
    sys.exit(main())
