"""Segmentation at three scales: fused by attention, by their mean, and by the greatest.

    python -m benchmarks.looking.scales [--classes shape] [--steps 1500] [--seeds 0 1 2]

`ScaleAwareSegmentation` (Chen et al., CVPR 2016) at scales of 1, 3/4 and 1/2 on scenes of 96 x 96
with 1 to 4 shapes of 6 to 60 pixels, whose class is their size, small, middle or large, or with
`--classes shape` their shape. Sizes ask for scale, but of a network that all scales share they ask
the contrary: an object at half the size is to be of the class that it has at the whole one. Five
convolutions of stride 8 in all and a head, shared by the scales, each of which learns from the
masks, too. There is no BatchNormalization, whose moving statistics would be of all scales together.
Adam at 1e-3 with a cosine to 0, batches of 16 scenes, drawn anew all the time.

Of each run the mean IoU of the four classes, the ground among them, in percent of 500 scenes held
out. Of the attention, Spearman's correlation of an object's side with the mean weight of the finest
scale on it: the paper has small objects seen there.

Each run is a row of `results/looking_scales.csv`; what is there already isn't run again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from scipy.stats import spearmanr

from benchmarks.looking.runs import run_missing, steps_and_seeds
from keras_attn.applications import ScaleAwareSegmentation
from keras_attn.data.synthetic import ShapeScenes, shape_scenes
from keras_attn.data.synthetic.shape_scenes import SIZES
from keras_attn.explain import attention_maps

RESULTS = Path(__file__).parents[1] / "results" / "looking_scales.csv"
MODES = ("attention", "average", "max")
SIDE, BATCH, STEPS_OF_EPOCH, HELD_OUT = 96, 16, 100, 500


def drawn(count: int, classes: str, seed: int) -> ShapeScenes:
    """Shapes large and small."""
    return shape_scenes(count, size=SIDE, sides=(6, 60), classes=classes, seed=seed)


def network(mode: str) -> keras.Model:
    """Not compiled."""
    backbone = keras.Sequential([keras.Input((None, None, 3)), layers.Rescaling(1 / 127.5, -1)])
    for filters, stride in ((24, 2), (48, 2), (96, 2), (96, 1), (96, 1)):
        backbone.add(
            layers.Conv2D(
                filters,
                3,
                strides=stride,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
            )
        )
    return ScaleAwareSegmentation(
        backbone, len(SIZES) + 1, mode=mode, units=96, input_shape=(SIDE, SIDE, 3), filters=48
    )


def run(classes: str, mode: str, seed: int, steps: int) -> dict[str, Any]:
    """Trains one network; what it found on held-out scenes."""
    keras.utils.set_random_seed(seed)
    model = network(mode)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)))
    start = time.perf_counter()
    for epoch in range(steps // STEPS_OF_EPOCH):
        scenes = drawn(BATCH * STEPS_OF_EPOCH, classes, seed * 1_000_000 + epoch)
        model.fit(scenes.images.astype("float32"), scenes.masks, batch_size=BATCH, verbose=0)
    minutes = (time.perf_counter() - start) / 60
    test = drawn(HELD_OUT, classes, 999_999)
    images = test.images.astype("float32")
    found = model.predict(images, batch_size=50, verbose=0)
    ious = {"fused": iou(found["probabilities"], test.masks)}
    for name in ("scale_1.0", "scale_0.75", "scale_0.5"):
        ious[name] = iou(found[name], test.masks)
    correlation: float | str = ""
    if mode == "attention":
        [weights] = attention_maps(model, images[:200]).values()
        correlation = round(of_sides(weights, test), 3)
    return {
        **ious,
        "side_and_finest": correlation,
        "parameters": model.count_params(),
        "minutes": round(minutes, 1),
    }


def iou(probabilities: np.ndarray, masks: np.ndarray) -> float:
    """The mean of the classes, in percent."""
    measure = keras.metrics.MeanIoU(probabilities.shape[-1])
    measure.update_state(masks, probabilities.argmax(-1))
    return round(100 * float(measure.result()), 2)


def of_sides(weights: np.ndarray, test: ShapeScenes) -> float:
    """How the objects' sides go with the finest scale's weights on them, by rank."""
    finest = ops.convert_to_numpy(
        ops.image.resize(weights[..., :1], (SIDE, SIDE), interpolation="bilinear")
    )[..., 0]
    pairs = [
        (np.sqrt((of := test.instances[number] == which + 1).sum()), finest[number][of].mean())
        for number, which in np.argwhere(test.labels[: len(weights)] >= 0).tolist()
    ]
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def main() -> None:
    """The command line."""
    given = steps_and_seeds(__doc__, 1500, classes=("size", "shape"))
    runs = (
        {"classes": given.classes, "mode": mode, "seed": seed, "steps": given.steps}
        for seed in given.seeds
        for mode in MODES
    )
    run_missing(RESULTS, runs, run)


if __name__ == "__main__":
    main()
