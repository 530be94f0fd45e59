"""What belongs to a set of weights, and where its file is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Metadata:
    """What belongs to a set of weights: how to give it images, and where it is from.

    Attributes:
        tag: Name of the set for `weights=`, or of the file that it was read from.
        network: The constructor.
        source: Who trained or published it, and where.
        licence: As the source gives it; `""` where it gives none.
        top1: Top-1 accuracy in percent, as the source gives it; `None` where it gives none.
        top1_on: The images of that accuracy, and their size.
        size: Side of the images that `top1` is for, or that it was trained with.
        crop: Share of the resized image's side that is cropped from its centre; the short side is
            resized to `size / crop`.
        interpolation: Filter of the resizing, such as `"bicubic"`.
        range: The two values that pixels of 0 and 255 are scaled to, before mean and deviation.
        mean: Mean of each RGB channel, on that scale.
        std: Standard deviation of each RGB channel, on that scale.
        labels: `"imagenet"` for ImageNet's 1000 classes in the usual order, the classes' names, or
            `None`.
        sha256: Hash of the file, or its beginning, or as `"md5:..."`, as the source gives it;
            `None` where it gives none.
        changes: The changes that made the weights fit this network.
        note: Anything else that a user should know.
    """

    tag: str
    network: str
    source: str
    licence: str = ""
    top1: float | None = None
    top1_on: str = "ImageNet-1k, validation"
    size: int = 224
    crop: float = 0.875
    interpolation: str = "bilinear"
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    labels: str | tuple[str, ...] | None = "imagenet"
    sha256: str | None = None
    changes: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("tag", "network", "source", "licence", "interpolation", "note", "top1_on"):
            self._check(name, isinstance(getattr(self, name), str), "a text")
        for name, length in (("range", 2), ("mean", 3), ("std", 3)):
            value = getattr(self, name)
            right = isinstance(value, tuple) and len(value) == length and all(map(_finite, value))
            self._check(name, right, f"a tuple of {length} finite numbers")
        self._check("std", min(self.std) > 0, "above 0")
        self._check("size", type(self.size) is int and self.size > 0, "a positive integer")
        self._check("crop", _finite(self.crop) and self.crop > 0, "a positive number")
        self._check("top1", self.top1 is None or _finite(self.top1), "a number or None")
        labels = self.labels if isinstance(self.labels, tuple) else (self.labels or "",)
        self._check("labels", all(isinstance(each, str) for each in labels), "texts")

    def _check(self, name: str, right: bool, rule: str) -> None:
        if not right:
            value = repr(getattr(self, name))[:200]
            raise ValueError(f"`{name}` must be {rule}. Received: {name}={value}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Metadata:
        """Reads what `as_dict` gave, after JSON made lists of its tuples.

        Args:
            values: Attribute -> value. Those of the future are passed over.

        Raises:
            ValueError: If one is missing or of a wrong kind.
        """
        if not isinstance(values, Mapping) or not {"tag", "network", "source"} <= values.keys():
            raise ValueError("`values` must have `tag`, `network` and `source` of the weights")
        known = {field.name for field in dataclasses.fields(cls)}
        kept: dict[str, Any] = {key: values[key] for key in values if key in known}
        tuples = {key: tuple(each) for key, each in kept.items() if isinstance(each, list)}
        return cls(**{**kept, **tuples})

    def as_dict(self) -> dict[str, Any]:
        """The attributes, such as JSON takes."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(self).items()
        }


@dataclass(frozen=True)
class RemoteFile:
    """A file of weights and where it is.

    Attributes:
        url: Its address. An address `hf://owner/name/file` is one of the Hugging Face hub, and
            `file://...` a file that the package brings.
        sha256: Its SHA-256 or the beginning of it, `"md5:..."` where the source gives that, or
            `None` where it gives neither.
        by_hand: Whether the address is a page for a person, from which no program can fetch.
    """

    url: str
    sha256: str | None = None
    by_hand: bool = False


def _finite(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)
