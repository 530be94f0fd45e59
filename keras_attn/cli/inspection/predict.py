"""`keras-attn predict`: what a network says of image files, here or on a server."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_attn.cli.arguments import add_json, add_overwrite
from keras_attn.cli.inspection import answered
from keras_attn.cli.paths import check_file, check_new_file, find_images
from keras_attn.cli.sources import EXPORTS, NETWORKS, open_source, pixels_of
from keras_attn.cli.stages import counted, warn
from keras_attn.cli.tables import print_json, print_table

HELP = "Classify image files, by a trained network or on a server."
EXAMPLE = "keras-attn predict --model runs/photos cat.jpg more/ --top 3"
AT_ONCE = 32  # images that go through the network, or to the server, together

Ranked = list[tuple[float, str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--model",
        "--run",
        dest="source",
        metavar="SOURCE",
        help=f"A trained network: {NETWORKS}; {EXPORTS}.",
    )
    source.add_argument(
        "--server",
        metavar="URL",
        help="URL of a served model, such as http://HOST:PORT/v1/models/NAME.",
    )
    parser.add_argument(
        "image",
        nargs="+",
        metavar="IMAGE",
        help="An image file, a folder with some, or a pattern such as 'cats/*.jpg'.",
    )
    parser.add_argument(
        "--labels", metavar="FILE", help="File with the name of a class on each line, for --server."
    )
    parser.add_argument(
        "--top",
        type=int,
        default=3,
        metavar="N",
        help="How many classes to print, the likeliest first. Default: %(default)s.",
    )
    parser.add_argument(
        "--draw",
        metavar="FILE",
        help="PNG file to draw the answer of a server into: boxes, a mask, or where the words of a "
        "caption look.",
    )
    add_overwrite(parser, "the file of --draw")
    shape = parser.add_mutually_exclusive_group()
    add_json(shape)
    shape.add_argument(
        "--csv", action="store_true", help="Print CSV: image, rank, class and probability."
    )


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    from keras_attn.classifiers.kinds import find_source

    if args.top < 1:
        raise ValueError(f"`top` must be a positive integer. Received: top={args.top}")
    if args.source:
        args.source = find_source(args.source)
    args.files = find_images("image", args.image)
    if args.labels:
        check_file("labels", args.labels)
    if args.draw:
        if not args.server:
            raise ValueError("`--draw` draws what a server answers: give it with `--server`")
        check_new_file("draw", args.draw, suffix=".png", overwrite=args.overwrite)


def run(args: argparse.Namespace) -> int:
    """Runs the command; gives 1 where some of several images could not be read."""
    asked = _Server(args.server, args.labels) if args.server else _Here(open_source(args.source))
    if isinstance(asked, _Server) and (form := asked.form):
        answered.report(asked.client, asked.url, form, asked.signatures, args)
        return 0
    if args.draw:
        raise ValueError(
            "`--draw` draws captions, boxes and masks, and the model gives classes; `keras-attn "
            "explain` draws where those come from"
        )
    found: dict[str, Ranked] = {}
    with counted("predicting", len(args.files)) as done:
        for start in range(0, len(args.files), AT_ONCE):
            files = args.files[start : start + AT_ONCE]
            read = dict(_read(files, asked, alone=len(args.files) == 1))
            if read:
                answers = asked.ask(list(read.values()))
                found |= {file: each[: args.top] for file, each in zip(read, answers, strict=True)}
            done(len(files))
    if args.json:
        classes = {
            file: [{"class": name, "probability": share} for share, name in ranked]
            for file, ranked in found.items()
        }
        print_json([{"image": file, "classes": each} for file, each in classes.items()])
    elif args.csv:
        _print_csv(found)
    else:
        _print(found)
    return int(len(found) < len(args.files))


class _Here:
    """A classifier in this process."""

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def read(self, file: str) -> Any:
        return pixels_of(self.classifier, file)

    def ask(self, images: Sequence[Any]) -> list[Ranked]:
        import numpy as np

        probabilities = self.classifier.of_fitted(np.stack(images)).tolist()
        return [_ranked(each, self.classifier.class_names) for each in probabilities]


class _Server:
    """A model on a server, asked for files where it takes them, or else for pixels."""

    def __init__(self, url: str, labels: str | None) -> None:
        from keras_attn.serving.clients import client

        self.client, self.url = client, url
        self.signatures = client.signatures(url)
        self.form = answered.form_of(self.signatures, client.SERVE_BYTES)
        self.takes_files = client.SERVE_BYTES in self.signatures
        self.labels = labels

    def read(self, file: str) -> Any:
        if self.takes_files:
            return Path(file).read_bytes()
        from keras_attn.images import read_image

        return read_image(file, self.client.input_shape(self.url)[1:]).tolist()

    def ask(self, images: Sequence[Any]) -> list[Ranked]:
        if self.takes_files:
            answers = self.client.classify(self.url, list(images))
            return [
                _ranked(answer["scores"], self._renamed(answer["labels"])) for answer in answers
            ]
        # Raw pixels, where the model takes them: its default may take other values.
        pixels = self.client.SERVE_UINT8 if self.client.SERVE_UINT8 in self.signatures else None
        answers = self.client.predict(self.url, list(images), signature_name=pixels)
        shares = [each["probabilities"] if isinstance(each, dict) else each for each in answers]
        names = self._renamed([str(label) for label in range(len(shares[0]))])
        return [_ranked(each, names) for each in shares]

    def _renamed(self, labels: Sequence[str]) -> Sequence[str]:
        """The classes' numbers, as the server gives them, by the names of `--labels`."""
        if not self.labels:
            return labels
        names = dict(enumerate(Path(self.labels).read_text(encoding="utf-8").splitlines()))
        unnamed = [each for each in labels if not each.isdecimal() or int(each) not in names]
        if unnamed or not (self.takes_files or len(names) == len(labels)):
            raise ValueError(
                "`labels` must have a line for each class that the server numbers. Received: "
                f"labels={self.labels!r} with {len(names)} lines, and the classes "
                f"{', '.join(labels)}"
            )
        return [names[int(each)] for each in labels]


def _read(files: Sequence[str], asked: Any, *, alone: bool) -> Iterator[tuple[str, Any]]:
    """What is asked for each file. One of several that can't be read is a warning."""
    for file in files:
        try:
            yield file, asked.read(file)
        except (ValueError, OSError) as error:
            if alone:
                raise
            warn(f"left out: {file} ({error.__cause__ or error})")


def _ranked(probabilities: Sequence[float], names: Sequence[str]) -> Ranked:
    return sorted(zip(probabilities, names, strict=True), reverse=True)


def _print(found: dict[str, Ranked]) -> None:
    if len(found) == 1:
        [ranked] = found.values()
        for probability, name in ranked:
            print(f"{probability:7.2%}  {name}")
        return
    rows = [
        {
            "image": file,
            "class": name,
            "probability": f"{probability:.2%}",
            "next": ", ".join(f"{each} {share:.2%}" for share, each in others),
        }
        for file, [(probability, name), *others] in found.items()
    ]
    print_table(rows, narrow=("image", "class", "probability", "next"), right="probability")


def _print_csv(found: dict[str, Ranked]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["image", "rank", "class", "probability"])
    for file, ranked in found.items():
        for rank, (probability, name) in enumerate(ranked, start=1):
            writer.writerow([file, rank, name, probability])
