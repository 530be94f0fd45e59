"""Whether pictures of attention are true: masks, maps and gates beside Grad-CAM.

    python -m benchmarks.explaining.truth --data-dir FOLDER --cbam RUN [--images 32]

FOLDER is where tensorflow-datasets has CIFAR-10 prepared, RUN a ResNet-20 with CBAM, as
`python -m benchmarks.accuracy.trainings --only explaining` trains it. It and each network that
comes with the package are explained by their own attention and by other methods, on the same test
images, for the class that they find most likely:

- the areas under deletion (less is better) and insertion (more is better), and those of heat at
  random;
- the pointing game on scenes made with a seed: a test image at half its side on its own
  mean colour, at a random place; a hit by chance is about 1 in 4;
- the sanity check: how alike heat stays as weights are permuted, from the output on, a sixth of the
  layers at a time, by ranks and by SSIM. What stays alike says nothing of what was learned. A table
  of its own has each step; the first table has the last of them.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.explaining.last_gates import arrays_of
from benchmarks.measuring import save
from keras_attn.applications import get_model
from keras_attn.explain import heat_maps
from keras_attn.explain.truth import (
    Randomised,
    cascading_randomisation,
    deletion_curve,
    pointing_game,
)
from keras_attn.training import load_dataset, load_run

RESULTS = Path(__file__).parents[1] / "results"
METHODS = {
    "residual_attention56_cifar": ("attention", "grad_cam"),
    "aa_resnet20_cifar": ("attention", "rollout", "grad_cam"),
    "se_resnet20_cifar": ("grad_cam", "hires_cam", "integrated_gradients"),
    "cbam_resnet20_cifar": ("attention", "grad_cam"),
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


def without_normalization(model: keras.Model) -> keras.Model:
    """A run's network, which takes pixels, for the images that the packaged ones take."""
    names = [layer.name for layer in model.layers]
    first = model.layers[names.index("normalization") + 1]
    return keras.Model(first.input, model.output)


def areas(model: keras.Model, images: np.ndarray, heat: Any, classes: Any) -> dict[str, float]:
    """Under the curves of deletion and insertion."""
    return {
        kind: float(deletion_curve(model, images, heat, classes, kind=kind).mean())
        for kind in ("deletion", "insertion")
    }


def of_chance(model: keras.Model, images: np.ndarray) -> dict[str, float]:
    """The judgements of heat at random."""
    heat = np.random.default_rng(0).random((len(images), 8, 8))
    classes = heat_maps(model, images, "grad_cam").classes
    hits = pointing_game(heat, scenes(images)[1])
    return {**areas(model, images, heat, classes), "pointing": float(hits.mean())}


def judged(model: keras.Model, images: np.ndarray, method: str) -> dict[str, float]:
    """The judgements of a method, but for the sanity check."""
    found = heat_maps(model, images, method)
    made, objects = scenes(images)
    hits = pointing_game(heat_maps(model, made, method).heat, objects)
    return {**areas(model, images, found.heat, found.classes), "pointing": float(hits.mean())}


def checked(model: keras.Model, images: np.ndarray, method: str) -> list[Randomised]:
    """The sanity check of a method, on few images."""
    few = images[:8]
    classes = heat_maps(model, few, method).classes
    return cascading_randomisation(
        model, lambda model: heat_maps(model, few, method, target=classes).heat
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps CIFAR-10")
    parser.add_argument("--cbam", required=True, help="folder of a run of ResNet-20 with CBAM")
    parser.add_argument("--images", type=int, default=32, help="default: %(default)s")
    arguments = parser.parse_args()
    data = load_dataset("cifar10", data_dir=arguments.data_dir)
    images, labels = arrays_of(data.test, arguments.images)
    rows: list[dict[str, Any]] = []
    steps: list[dict[str, Any]] = []
    for network, methods in METHODS.items():
        if network == "cbam_resnet20_cifar":
            model = without_normalization(load_run(arguments.cbam)[0])
        else:
            model = get_model(network)(weights="cifar10")
        right = (model.predict(images, verbose=0).argmax(axis=-1) == labels).mean()
        if right < 0.5:
            raise SystemExit(f"{network} is right about {right:.0%} of its images: it was not read")
        for method in methods:
            cascade = checked(model, images, method)
            for number, step in enumerate(cascade, start=1):
                steps.append(
                    {"network": network, "method": method, "step": number, **rounded(asdict(step))}
                )
            last = {"rank_correlation": cascade[-1].rank_correlation, "ssim": cascade[-1].ssim}
            found = {**judged(model, images, method), **last}
            rows.append({"network": network, "method": method, "images": len(images)})
            rows[-1] |= rounded(found)
            print(*rows[-1].values(), flush=True)
        rows.append({"network": network, "method": "random", "images": len(images)})
        rows[-1] |= rounded(of_chance(model, images))
        print(*rows[-1].values(), flush=True)
    save(RESULTS / "explaining.csv", rows, "keras", "tensorflow")
    save(RESULTS / "sanity.csv", steps, "keras", "tensorflow")


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers to three digits behind the point."""
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items()}


if __name__ == "__main__":
    main()
