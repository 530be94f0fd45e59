"""The sets of weights in a table, and a card for each."""

from __future__ import annotations

from collections.abc import Iterable

from keras_attn._hints import fold
from keras_attn.weights.metadata import IMAGENET_MEAN, IMAGENET_STD
from keras_attn.weights.sources import SETS, WeightSet

HEADER = ("network", "weights=", "source", "licence", "top-1", "images", "input", "size")
FOOTER = """
"imagenet" means the set with a star. top-1: as its source publishes it, on the images named, for
  an input of that size; none of it was measured here, but for cifar10/.
input: mean/std of RGB that it takes, and the scale that pixels are brought to before. ImageNet's
  are (0.485, 0.456, 0.406)/(0.229, 0.224, 0.225).
size: side of the image, the share that is cropped from the centre, and how images are resized.
`keras-attn models --weights TAG` prints a set's card."""


def weights_table(part: str = "") -> str:
    """The sets, one a line.

    Args:
        part: Only those with this in the network's name or the tag.

    Returns:
        The table, with what its columns are.

    Example:

    >>> from keras_attn.weights.sources.card import weights_table
    >>> print(weights_table("senet154.gluon").splitlines()[1].split()[:2])
    ['SENet154', 'timm/senet154.gluon_in1k']
    """
    rows = [HEADER, *(row(each) for each in _with(part))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in rows
    ]
    return "\n".join([*lines, FOOTER])


def weights_card(each: WeightSet) -> str:
    """What is known of a set, in Markdown.

    Args:
        each: The set.

    Returns:
        The card.

    Example:

    >>> from keras_attn.weights.sources.card import weights_card
    >>> print(weights_card(keras_attn.weights.SETS[0]).splitlines()[0])
    # timm/legacy_seresnet18.in1k
    """
    data = each.metadata
    arguments = "".join(f", {key}={value!r}" for key, value in each.arguments.items())
    lines = [
        f"# {data.tag}",
        "",
        f'- Network: `{data.network}(weights="{data.tag}")`, the same as with `{arguments[2:]}`'
        if arguments
        else f'- Network: `{data.network}(weights="{data.tag}")`',
        f"- Source: {data.source}",
        f"- File: {each.file.url}" + (", by hand in a browser" if each.file.by_hand else ""),
        f"- Hash: {_hash(each)}",
        f"- Licence: {data.licence or 'not stated by the source'}",
        f"- Top-1: {_top1(each)}",
        f"- Input: RGB, 0..255 scaled to {data.range[0]:g}..{data.range[1]:g}, less "
        f"{_numbers(data.mean)}, over {_numbers(data.std)}",
        f"- Size: {_size(each)}",
        f"- Classes: {_labels(each)}",
    ]
    if data.note:
        lines.append(f"- Note: {data.note}")
    return "\n".join(lines)


def find_sets(part: str) -> list[WeightSet]:
    """The sets with this in the network's name or the tag; that of the very tag alone.

    Args:
        part: A tag, or a part of it or of a network's name.

    Returns:
        The sets.
    """
    exact = [each for each in SETS if each.metadata.tag == part]
    return exact or list(_with(part))


def _with(part: str) -> Iterable[WeightSet]:
    text = part.lower().removeprefix("hf://")
    for each in SETS:
        if text in each.metadata.tag.lower() or fold(part) in fold(each.metadata.network):
            yield each


def row(each: WeightSet) -> tuple[str, ...]:
    """A set as a row of the table."""
    data = each.metadata
    return (
        data.network,
        data.tag + ("*" if each.is_default else ""),
        data.source.split(",")[0],
        data.licence or "not stated",
        "-" if data.top1 is None else f"{data.top1:g}",
        "-" if data.top1 is None else data.top1_on.split(", validation")[0],
        _input(each),
        _size(each),
    )


def _input(each: WeightSet) -> str:
    data = each.metadata
    scale = f"{data.range[0]:g}..{data.range[1]:g}"
    if (data.mean, data.std) == (IMAGENET_MEAN, IMAGENET_STD):
        return f"ImageNet's, {scale}"
    return f"{_numbers(data.mean)}/{_numbers(data.std)}, {scale}"


def _top1(each: WeightSet) -> str:
    data = each.metadata
    if data.top1 is None:
        return "not known here"
    measured = "measured" if each.naming is None else "as its source publishes it"
    return f"{data.top1:g} % ({data.top1_on}), {measured}"


def _hash(each: WeightSet) -> str:
    digits = each.file.sha256
    if digits is not None:
        name = "md5" if digits.startswith("md5:") else "SHA-256"
        short = ", its beginning" if name == "SHA-256" and len(digits) < 64 else ""
        return f"{name} {digits.removeprefix('md5:')}{short}, as the source gives it"
    if each.file.url.startswith("hf://"):
        return "not fixed here; a download is compared with the SHA-256 that the hub gives"
    return "none is published; a download can't be compared with one"


def _size(each: WeightSet) -> str:
    data = each.metadata
    crop = "" if data.crop == 1.0 else f", crop {data.crop:g}"
    return f"{data.size}{crop}" + (f", {data.interpolation}" if data.interpolation else "")


def _labels(each: WeightSet) -> str:
    labels = each.metadata.labels
    if isinstance(labels, tuple):
        return ", ".join(labels)
    return "ImageNet's 1000" if labels == "imagenet" else "not stated"


def _numbers(numbers: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{number:g}" for number in numbers) + ")"
