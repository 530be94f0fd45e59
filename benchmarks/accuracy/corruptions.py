"""The packaged ResNet-20 and SE-ResNet-20 on CIFAR-10's test images, spoilt in four ways.

    python -m benchmarks.accuracy.corruptions --data-dir FOLDER

FOLDER is where tensorflow-datasets has CIFAR-10 prepared. The ways are those of Hendrycks and
Dietterich (ICLR 2019) that need no files; the code and the levels are ours, for images of 32 x 32.
Both networks see the same pixels. `p` is McNemar's exact test, two-sided: how likely the images on
which one alone is right would fall out so unevenly if both were equally good.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest

from benchmarks.measuring import save
from keras_attn.applications import CIFARResNet
from keras_attn.applications.cifar import preprocess_input
from keras_attn.data import load_dataset

RESULTS = Path(__file__).parents[1] / "results"
Pixels = np.ndarray  # uint8 (N, 32, 32, 3)


def noise(images: Pixels, deviation: float) -> np.ndarray:
    """Gaussian noise, each number by itself; the deviation is of 255."""
    return images + np.random.default_rng(0).normal(0, deviation, images.shape)


def blur(images: Pixels, deviation: float) -> np.ndarray:
    """Gaussian blur, the deviation in pixels; the edge goes on outside."""
    return gaussian_filter(images.astype("float32"), (0, deviation, deviation, 0), mode="nearest")


def contrast(images: Pixels, factor: float) -> np.ndarray:
    """Each image's distance to its own mean, by channel, times a factor."""
    mean = images.mean((1, 2), keepdims=True)
    return mean + factor * (images - mean)


def jpeg(images: Pixels, quality: float) -> np.ndarray:
    """Written as JPEG by Pillow, and read again."""
    found = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=int(quality))
        found.append(np.asarray(Image.open(file)))
    return np.stack(found)


CORRUPTIONS: dict[str, tuple[Callable[[Pixels, float], np.ndarray], tuple[float, ...]]] = {
    "noise": (noise, (4, 8, 12, 16, 24)),
    "blur": (blur, (0.4, 0.6, 0.8, 1.0, 1.5)),
    "contrast": (contrast, (0.75, 0.5, 0.35, 0.25, 0.15)),
    "jpeg": (jpeg, (80, 60, 40, 20, 10)),
}


def spoilt(images: Pixels, name: str, level: float) -> Pixels:
    """The images after a corruption, in whole numbers again."""
    found = CORRUPTIONS[name][0](images, level)
    return np.clip(np.rint(found), 0, 255).astype("uint8")


def mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """The exact test's probability, of whether two networks are right about each image."""
    alone, other_alone = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    if not alone + other_alone:
        return 1.0
    return float(binomtest(alone, alone + other_alone).pvalue)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="where tensorflow-datasets has CIFAR-10 prepared")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "corruptions.csv", help="default: %(default)s"
    )
    arguments = parser.parse_args()
    test = load_dataset("cifar10", data_dir=arguments.data_dir).test
    images, labels = test.read(np.arange(len(test))), test.labels
    plain = CIFARResNet(20, weights="cifar10")
    gated = CIFARResNet(20, attention="se", weights="cifar10")

    def row(name: str, level: float | None, pixels: Pixels) -> dict[str, Any]:
        inputs = preprocess_input(pixels.astype("float32"))
        right = [
            model.predict(inputs, batch_size=250, verbose=0).argmax(-1) == labels
            for model in (plain, gated)
        ]
        plainly, by_gates = (100 * float(each.mean()) for each in right)
        found = {
            "corruption": name,
            "level": "" if level is None else level,
            "resnet20": round(plainly, 2),
            "se_resnet20": round(by_gates, 2),
            "difference": round(by_gates - plainly, 2),
            "p": f"{mcnemar(right[1], right[0]):.2g}",
        }
        print(found, flush=True)
        return found

    rows = [row("none", None, images)]
    for name, (_, levels) in CORRUPTIONS.items():
        rows += [row(name, level, spoilt(images, name, level)) for level in levels]
    save(arguments.out, rows, "keras", "tensorflow", "pillow", "scipy")


if __name__ == "__main__":
    main()
