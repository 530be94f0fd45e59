"""`keras-attn export`: write a SavedModel version folder for a server, and other formats."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from keras_attn._versions import find_versions
from keras_attn.cli.arguments import add_overwrite
from keras_attn.cli.paths import check_new_file, check_out_folder
from keras_attn.cli.sources import add_network, check_network, open_network
from keras_attn.cli.stages import stage

if TYPE_CHECKING:
    from keras_attn.classifiers.networks import NetworkClassifier
    from keras_attn.export.exported import ExportedPath

HELP = "Write a SavedModel version folder for a server, and ONNX or TFLite files."
EXAMPLE = "keras-attn export runs/digits --out served/digits --onnx digits.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_network(parser)
    parser.add_argument(
        "--out",
        required=True,
        metavar="FOLDER",
        help="Base folder of the model, into which a new version goes beside those there.",
    )
    parser.add_argument(
        "--version",
        type=int,
        metavar="N",
        help="Number of the version, which must be a new one. By default the next one.",
    )
    parser.add_argument(
        "--no-fold",
        action="store_true",
        help="Leave BatchNormalization as it is, rather than fold it into the convolutions.",
    )
    parser.add_argument(
        "--constants",
        action="store_true",
        help="Have the weights in the graph, too, as constants: faster by tf.saved_model.load.",
    )
    parser.add_argument(
        "--samples",
        metavar="FOLDER",
        help="Folder of 1 to 16 image files that the page of a server shows to try.",
    )
    group = parser.add_argument_group("other formats, made from that SavedModel")
    group.add_argument("--onnx", metavar="FILE", help="Write this ONNX file, NAME.onnx, too.")
    group.add_argument(
        "--opset",
        type=int,
        choices=(17, 18),
        default=17,
        help="Version of ONNX's operations, 17 or 18. Default: %(default)s.",
    )
    group.add_argument("--tflite", metavar="FILE", help="Write this TFLite file, too.")
    group.add_argument(
        "--int8", metavar="FILE", help="Write this TFLite file with int8 arithmetic, too."
    )
    group.add_argument(
        "--calibrate",
        metavar="FOLDER",
        help="Folder of some hundred image files that --int8 takes its ranges from.",
    )
    add_overwrite(group, "the files of these formats; a version is never replaced")


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    check_network(args)
    check_out_folder(args.out)
    if args.version is not None and args.version in find_versions(args.out):
        raise FileExistsError(
            "`version` must be a new one: a server may be serving what is there. "
            f"Received: version={args.version}, which is in {args.out}"
        )
    if args.samples is not None and not os.path.isdir(args.samples):
        raise NotADirectoryError(
            f"`samples` must be a folder of image files. Received: samples={args.samples!r}"
        )
    if bool(args.int8) != bool(args.calibrate):
        raise ValueError("`--int8` and `--calibrate` must be given together, or neither")
    for name, suffix in (("onnx", ".onnx"), ("tflite", ".tflite"), ("int8", ".tflite")):
        if getattr(args, name) is not None:
            check_new_file(name, getattr(args, name), suffix=suffix, overwrite=args.overwrite)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    network = open_network(args.source)
    from keras_attn import export

    images: Any = _read_images(args.calibrate, network) if args.calibrate else None
    saved_model = export_network(
        network,
        args.out,
        version=args.version,
        fold=not args.no_fold,
        constants=args.constants,
        samples=args.samples,
    )
    _say("exported, loaded back and compared", saved_model)
    if args.onnx:
        with stage("converting to ONNX, running it and comparing it"):
            path = export.export_onnx(saved_model, args.onnx, opset=args.opset)
        _say("converted, run by ONNX Runtime and compared", path)
    if args.tflite:
        with stage("converting to TFLite, running it and comparing it"):
            path = export.export_tflite(saved_model, args.tflite)
        _say("converted, run by LiteRT and compared", path)
    if args.int8:
        with stage("quantizing to int8, running it and comparing it"):
            path = export.export_tflite_int8(saved_model, args.int8, images)
        _say("quantized, run by LiteRT and compared", path)


def export_network(
    network: NetworkClassifier,
    out: str,
    *,
    version: int | None = None,
    fold: bool = True,
    constants: bool = False,
    samples: str | None = None,
) -> ExportedPath:
    """Writes a version folder into a base folder."""
    from keras_attn.export import export_saved_model

    record = network.record if network.record and network.record.get("metrics") else None
    with stage("writing the SavedModel, loading it back and comparing it"):
        return export_saved_model(
            network.model,
            out,
            class_names=network.class_names,
            version=version,
            preprocessing=network.preprocessing,
            fold=fold,
            constants=constants,
            record=record,
            samples=samples,
        )


def _say(what: str, path: Any) -> None:
    print(f"{what}: {path}", flush=True)
    for note in path.notes:
        print(f"keras-attn: note: {path}: {note}", file=sys.stderr)


def _read_images(folder: str, network: NetworkClassifier) -> Any:
    """All image files under a folder, as the network takes them: float32 (N, H, W, C)."""
    import numpy as np

    from keras_attn.export.tflite import LEAST_IMAGES
    from keras_attn.images import image_files

    paths = image_files(folder)
    if len(paths) < LEAST_IMAGES:
        raise ValueError(
            f"`--calibrate` must be a folder of image files, at least {LEAST_IMAGES}. "
            f"Received: {folder} with {len(paths)}"
        )
    how = network.preprocessing
    return how.normalise(np.stack([how.read(path, network.channels) for path in paths]))
