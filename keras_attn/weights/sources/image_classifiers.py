"""image-classifiers' SE-ResNet, SE-ResNeXt and SENet-154 (github.com/qubvel/classification_models).

Facts: `models/senet.py`, `weights.py` (addresses and md5) and README.md (accuracies) there. Its
networks give their layers no names, so that Keras numbers them as they are made: here the lowest
number of a kind is the first layer's, and our layers are brought into the order of that code. A
grouped convolution is a convolution for each group there. Its ResNet-18 to -152, SE-ResNet-18 and
SE-ResNet-34 are pre-activation networks, of which we have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_attn.weights.metadata import Metadata, RemoteFile
from keras_attn.weights.naming import Origin, Shape, as_it_is
from keras_attn.weights.sources.weight_set import WeightSet

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class CreationOrder:
    """Names by the order in which the source makes its layers."""

    title: str = "image-classifiers' senet.py"
    marks: tuple[str, ...] = ("conv2d/kernel", "batch_normalization/gamma", "conv2d_2/kernel")
    ignored: str = "$^"

    def prepared(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """The tensors with the numbers of each kind of layer counted from the lowest on.

        Keras goes on counting from network to network; a file has the numbers of its day.
        """
        numbers: dict[str, list[int]] = {}
        for name in tensors:
            kind, number = _kind(name)
            numbers.setdefault(kind, []).append(number)
        lowest = {kind: min(of_kind) for kind, of_kind in numbers.items()}
        result = {}
        for name, array in tensors.items():
            kind, number = _kind(name)
            numbered = _numbered(kind, number - lowest[kind])
            result[f"{numbered}/{name.rpartition('/')[2]}"] = array
        return result

    def origins(self, shapes: Mapping[str, Shape]) -> dict[str, Origin]:
        """For weights by path, with their shapes, where each comes from, as far as is known."""
        found: dict[str, Origin] = {}
        convolutions = norms = 0
        for layer in _layers(shapes):
            if layer.endswith("_se"):
                for part in ("reduce", "expand"):
                    theirs = _numbered("conv2d", convolutions)
                    kernel = Origin((f"{theirs}/kernel",), _product)
                    found[f"{layer}/{part}_kernel"] = kernel
                    found[f"{layer}/{part}_bias"] = Origin((f"{theirs}/bias",), as_it_is)
                    convolutions += 1
            elif f"{layer}/gamma" in shapes:
                for weight in ("gamma", "beta", "moving_mean", "moving_variance"):
                    theirs = f"{_numbered('batch_normalization', norms)}/{weight}"
                    found[f"{layer}/{weight}"] = Origin((theirs,), as_it_is)
                norms += 1
            else:
                groups = _groups(layer, shapes)
                numbers = range(convolutions, convolutions + groups)
                names = tuple(f"{_numbered('conv2d', number)}/kernel" for number in numbers)
                found[f"{layer}/kernel"] = Origin(names, _joined)
                convolutions += groups
        for weight in ("kernel", "bias"):
            found[f"predictions/{weight}"] = Origin((f"dense/{weight}",), as_it_is)
        return {path: origin for path, origin in found.items() if path in shapes}


def _kind(name: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*?)(?:_(\d+))?/[^/]+", name)
    return (match[1], int(match[2] or 0)) if match else (name, 0)


def _numbered(kind: str, number: int) -> str:
    return f"{kind}_{number}" if number else kind


def _layers(shapes: Mapping[str, Shape]) -> Iterator[str]:
    """Our layers in the order of their making there."""
    for stem in ("stem", *(f"stem{i}" for i in (1, 2, 3))):
        name = stem[4:]
        if f"stem_conv{name}/kernel" in shapes:
            yield from (f"stem_conv{name}", f"stem_bn{name}")
    for stage in (1, 2, 3, 4):
        block = 1
        while f"stage{stage}_block{block}_conv1/kernel" in shapes:
            prefix = f"stage{stage}_block{block}_"
            for number in (1, 2, 3):
                yield from (f"{prefix}conv{number}", f"{prefix}bn{number}")
            if f"{prefix}projection/kernel" in shapes:
                yield from (f"{prefix}projection", f"{prefix}projection_bn")
            if f"{prefix}se/reduce_kernel" in shapes:
                yield f"{prefix}se"
            block += 1


def _groups(layer: str, shapes: Mapping[str, Shape]) -> int:
    """Of a 3x3 convolution between two 1x1: its input has the channels that the first makes."""
    if not layer.endswith("_conv2") or not layer.startswith("stage"):
        return 1
    made = shapes[f"{layer[:-1]}1/kernel"][-1]
    return made // shapes[f"{layer}/kernel"][2]


def _joined(*kernels: np.ndarray) -> np.ndarray:
    import numpy as np  # not for the table of these sets

    return np.concatenate(kernels, axis=-1)


def _product(kernel: np.ndarray) -> np.ndarray:
    return kernel[0, 0] if kernel.ndim == 4 else kernel


SENET = CreationOrder()

_FOLDER = "https://github.com/qubvel/classification_models/releases/download/0.0.1/"
SETS = tuple(
    WeightSet(
        Metadata(
            f"image-classifiers/{name}",
            constructor,
            "github.com/qubvel/classification_models",
            "MIT",
            top1,
            "ImageNet-1k, validation, 224x224 of 256",
            interpolation="",
            sha256=f"md5:{md5}",
            note="Ported there from Cadene's weights, in a geometry of its own: the max pool is "
            "padded by 1. How images are resized is not stated.",
        ),
        SENET,
        RemoteFile(f"{_FOLDER}{name}_imagenet_1000.h5", sha256=f"md5:{md5}"),
        {"geometry": "keras"},
    )
    for name, constructor, top1, md5 in (
        ("seresnet50", "SEResNet50", 76.44, "ff0ce1ed5accaad05d113ecef2d29149"),
        ("seresnet101", "SEResNet101", 77.92, "5c31adee48c82a66a32dee3d442f5be8"),
        ("seresnet152", "SEResNet152", 78.34, "96fc14e3a939d4627b0174a0e80c7371"),
        ("seresnext50", "SEResNeXt50", 78.74, "5310dcd58ed573aecdab99f8df1121d5"),
        ("seresnext101", "SEResNeXt101", 79.88, "be5b26b697a0f7f11efaa1bb6272fc84"),
        ("senet154", "SENet154", 81.06, "c8eac0e1940ea4d8a2e0b2eb0cdf4e75"),
    )
)
NAMINGS = (SENET,)
