"""The ends of ships: by a deep network, by a shallow one, and by a shallow one that it guides.

    python -m benchmarks.looking.ships [--steps 1500] [--seeds 0 1 2]

`TwoDepthFCN` (the task partitioning of Lin et al., GRSL 2017) on harbours of 96 x 96, whose
buildings look like ships. The deep network, five convolutions of stride 8, has the classes end,
hull, sea and land; the shallow one, three of 16 channels and stride 1, has the ends. `guided`
trains the shallow one where the deep one's class is end, `everywhere` at all pixels. Adam at 2e-3
with a cosine to 0, batches of 16 scenes, drawn anew all the time.

Of each training the ends are read from the `deep` map, resized to the image; from the `shallow`
one; and from the shallow one where the deep one opens the `gate`. An end is a greatest value within
3 pixels, of a probability of 1/2 or more. Of 500 scenes held out: the share of the true ends that
are found, within 6 pixels, in percent; how far off they are, in pixels; and false ends, a scene.

Each line is a row of `results/looking_ships.csv`; what is there already isn't run again.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from scipy.ndimage import maximum_filter
from scipy.optimize import linear_sum_assignment

from benchmarks.looking.runs import run_missing, steps_and_seeds
from keras_attn.applications import TwoDepthFCN
from keras_attn.data.synthetic import HarbourScenes, harbour
from keras_attn.data.synthetic.harbour import END

RESULTS = Path(__file__).parents[1] / "results" / "looking_ships.csv"
TRAININGS, READINGS = ("guided", "everywhere"), ("deep", "shallow", "gate")
SIDE, STRIDE, BATCH, STEPS_OF_EPOCH, HELD_OUT = 96, 8, 16, 100, 500
APART, WITHIN = 3, 6.0  # pixels: between two ends, and of an end from the truth


def network() -> keras.Model:
    """Not compiled."""
    backbone = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Rescaling(1 / 127.5, -1)])
    for filters, stride in ((16, 2), (32, 2), (64, 2), (64, 1), (64, 1)):
        backbone.add(layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False))
        backbone.add(layers.BatchNormalization())
        backbone.add(layers.ReLU())
    return TwoDepthFCN(backbone, filters=(16, 16, 16), gate_classes=END)


@functools.lru_cache(maxsize=1)
def trained(training: str, seed: int, steps: int) -> tuple[keras.Model, float]:
    """A network, and the minutes that its training took."""
    keras.utils.set_random_seed(seed)
    model = network()
    model.guided = training == "guided"
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)))
    start = time.perf_counter()
    for epoch in range(steps // STEPS_OF_EPOCH):
        scenes = harbour(BATCH * STEPS_OF_EPOCH, size=SIDE, seed=seed * 1_000_000 + epoch)
        labels = {"coarse": scenes.coarse(STRIDE), "fine": scenes.classes == END}
        model.fit(scenes.images.astype("float32"), labels, batch_size=BATCH, verbose=0)
    return model, (time.perf_counter() - start) / 60


def run(training: str, seed: int, steps: int, read: str) -> dict[str, Any]:
    """What one way of reading finds on held-out scenes."""
    model, minutes = trained(training, seed, steps)
    test = harbour(HELD_OUT, size=SIDE, seed=999_999)
    found = model.predict(test.images.astype("float32"), batch_size=50, verbose=0)
    if read == "deep":
        coarse = ops.softmax(found["coarse"])[..., END : END + 1]
        maps = ops.image.resize(coarse, (SIDE, SIDE), interpolation="bilinear")
    else:
        maps = found["probabilities"] if read == "gate" else ops.sigmoid(found["fine"])
    return {**measured(ops.convert_to_numpy(maps)[..., 0], test), "minutes": round(minutes, 1)}


def measured(maps: np.ndarray, test: HarbourScenes) -> dict[str, float]:
    """Ends found, how far off, and false ones, by the pairs that lie nearest in all."""
    is_peak = (maps >= 0.5) & (maps == maximum_filter(maps, (1, 2 * APART + 1, 2 * APART + 1)))
    distances: list[float] = []
    true = false = 0
    for peaks, ends in zip(is_peak, test.ends, strict=True):
        places = np.argwhere(peaks) + 0.5
        right = ends.reshape(-1, 2)
        right = right[right[:, 0] >= 0]
        apart = np.hypot(*np.moveaxis(places[:, None] - right, -1, 0))
        pairs = linear_sum_assignment(np.where(apart <= WITHIN, apart, 1e3))
        near = apart[pairs][apart[pairs] <= WITHIN]
        distances += near.tolist()
        true, false = true + len(right), false + len(places) - len(near)
    return {
        "found": round(100 * len(distances) / true, 2),
        "pixels_off": round(float(np.mean(distances)), 3) if distances else float("nan"),
        "false_ends": round(false / len(maps), 3),
    }


def main() -> None:
    """The command line."""
    given = steps_and_seeds(__doc__, 1500)
    runs = (
        {"training": training, "seed": seed, "steps": given.steps, "read": read}
        for seed in given.seeds
        for training in TRAININGS
        for read in READINGS
    )
    run_missing(RESULTS, runs, run)


if __name__ == "__main__":
    main()
