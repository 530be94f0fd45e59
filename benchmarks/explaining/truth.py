"""Whether pictures of attention are true: masks, maps and gates beside Grad-CAM.

    python -m benchmarks.explaining.truth --data-dir FOLDER [--images 32]

FOLDER is where tensorflow-datasets has CIFAR-10 prepared. Each network that comes with the package
is explained by its own attention and by other methods, on the same test images, for the class that
it finds most likely:

- the areas under deletion (less is better) and insertion (more is better), and those of heat at
  random;
- the pointing game on scenes made with a seed: a test image at half its side on its own
  mean colour, at a random place; a hit by chance is about 1 in 4;
- the sanity check: how alike heat stays once all weights are permuted, by ranks and by SSIM. What
  stays alike says nothing of what was learned.

No weights with CBAM come with the package: its gate is not in the table.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.explaining.last_gates import arrays_of
from benchmarks.measuring import save
from keras_attn.applications import get_model
from keras_attn.explain import heat_maps
from keras_attn.explain.truth import cascading_randomisation, deletion_curve, pointing_game
from keras_attn.training import load_dataset

RESULTS = Path(__file__).parents[1] / "results"
METHODS = {
    "residual_attention56_cifar": ("attention", "grad_cam"),
    "aa_resnet20_cifar": ("attention", "rollout", "grad_cam"),
    "se_resnet20_cifar": ("grad_cam", "hires_cam", "integrated_gradients"),
}


def scenes(images: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Each image at half its side, at a random place of an even ground, and where it is."""
    rng = np.random.default_rng(seed)
    side = images.shape[1] // 2
    small = images.reshape(len(images), side, 2, side, 2, -1).mean(axis=(2, 4))
    made = np.broadcast_to(images.mean(axis=(1, 2), keepdims=True), images.shape).copy()
    objects = np.zeros(images.shape[:3], bool)
    for index, (top, left) in enumerate(rng.integers(0, side + 1, (len(images), 2))):
        made[index, top : top + side, left : left + side] = small[index]
        objects[index, top : top + side, left : left + side] = True
    return made, objects


def judged(model: keras.Model, images: np.ndarray, method: str) -> dict[str, float]:
    """All judgements of one method."""
    if method == "random":
        classes = heat_maps(model, images, "grad_cam").classes
        rng = np.random.default_rng(0)
        heat = rng.random((len(images), 8, 8))
    else:
        found = heat_maps(model, images, method)
        heat, classes = found.heat, found.classes
    areas = {
        kind: float(deletion_curve(model, images, heat, classes, kind=kind).mean())
        for kind in ("deletion", "insertion")
    }
    made, objects = scenes(images)
    if method == "random":
        return {**areas, "pointing": float(pointing_game(heat, objects).mean())}
    hits = pointing_game(heat_maps(model, made, method).heat, objects)
    few = images[:8]
    last = cascading_randomisation(
        model, lambda model: heat_maps(model, few, method, target=classes[:8]).heat, steps=1
    )[-1]
    return {
        **areas,
        "pointing": float(hits.mean()),
        "rank_correlation": last.rank_correlation,
        "ssim": last.ssim,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps CIFAR-10")
    parser.add_argument("--images", type=int, default=32, help="default: %(default)s")
    arguments = parser.parse_args()
    data = load_dataset("cifar10", data_dir=arguments.data_dir)
    images = arrays_of(data.test, arguments.images)[0]
    rows: list[dict[str, Any]] = []
    for network, methods in METHODS.items():
        model = get_model(network)(weights="cifar10")
        for method in (*methods, "random"):
            found = {name: round(value, 3) for name, value in judged(model, images, method).items()}
            rows.append({"network": network, "method": method, "images": len(images), **found})
            print(*rows[-1].values(), flush=True)
    save(RESULTS / "explaining.csv", rows, "keras", "tensorflow")


if __name__ == "__main__":
    main()
