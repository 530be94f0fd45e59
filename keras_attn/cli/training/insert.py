"""`keras-attn insert`: put attention into a model that is saved in a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_attn._hints import did_you_mean
from keras_attn.cli.arguments import add_overwrite
from keras_attn.cli.library import import_library
from keras_attn.cli.paths import check_file, check_new_file
from keras_attn.cli.stages import stage

HELP = "Put attention behind layers of a saved model, which computes the same until it is trained."
EXAMPLE = (
    "keras-attn insert resnet50.keras --attention se --where 'conv?_block?_out' --out se.keras"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "model", metavar="FILE", help="A .keras file of a functional or Sequential model."
    )
    parser.add_argument(
        "--attention",
        required=True,
        metavar="KIND",
        help="Kind of attention, see `keras-attn models --attention`.",
    )
    parser.add_argument(
        "--where",
        required=True,
        metavar="PATTERN",
        help="Names of the layers that it stands behind: a pattern with *, ? and [abc].",
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="The .keras file to write the new model to."
    )
    parser.add_argument(
        "--no-identity",
        action="store_true",
        help="Put the plain layers in, which change what the model computes at once.",
    )
    add_overwrite(parser, "the file of --out")


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    from keras_attn.cost.attention import attention_rows

    check_file("model", args.model)
    kinds = [kind for kind in attention_rows() if kind != "none"]
    if args.attention not in kinds:
        raise ValueError(
            "`attention` must be a kind that `keras-attn models --attention` lists. "
            f"Received: attention={args.attention}{did_you_mean(args.attention, kinds)}"
        )
    check_new_file("out", args.out, suffix=".keras", overwrite=args.overwrite)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    import_library()
    import keras

    import keras_attn
    from keras_attn._staging import written_whole
    from keras_attn.insertion import InsertedAttention
    from keras_attn.weights.formats.keras_archive import check_keras_archive

    with stage(f"reading {args.model}"):
        check_keras_archive(Path(args.model))
        model = keras.saving.load_model(args.model, compile=False)
    before = {layer.name for layer in model.layers}
    new = keras_attn.insert_attention(
        model, args.attention, where=args.where, identity=not args.no_identity
    )
    with stage(f"writing {args.out}"), written_whole(args.out) as beside:
        new.save(beside)
    inserted = [layer for layer in new.layers if layer.name not in before]
    same = all(isinstance(layer, InsertedAttention) for layer in inserted) and not args.no_identity
    print(
        f"{len(inserted)} layers inserted, {new.count_params() - model.count_params():,} weights: "
        f"{args.out}" + ("; it computes what the model did" if same else "")
    )
