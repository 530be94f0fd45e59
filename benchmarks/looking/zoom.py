"""RA-CNN: what the closer look brings, by the loss that teaches where to look.

    python -m benchmarks.looking.zoom [--seeds 0 1 2]

`RACNN` (Fu et al., CVPR 2017) of two scales on scenes of 96 x 96 whose class is a digit of 8
pixels beside a large shape. The backbone takes the mean of 3 x 3 pixels first, so that the first
scale sees the digit with 3 pixels' height; a box has a third of the side or more, and what is in it
is enlarged to 96 x 96. All begin alike: both classifiers learn with boxes that are the whole image,
then the proposal is pre-trained to the strongest response. Then, for as many epochs:

- `fixed`: the classifiers alone;
- `entropy`: all, by the classifiers' losses;
- `joint`: all, by these and the ranking loss;
- `turns`: the paper's, `keras_attn.finetune.alternate`: classifiers, then the proposal by the
  ranking loss.

Adam at 2e-3, then at 3e-4, batches of 32, 5,000 scenes of each seed. Of 2,000 held out: the
accuracy of each scale and of the fused classifier, in percent; the share of the boxes that hold the
digit's centre, and by chance, which is a box's share of the area, on average.

Each run is a row of `results/looking_zoom.csv`; what is there already isn't run again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.looking.runs import run_missing
from keras_attn.applications import RACNN
from keras_attn.data.synthetic import Scenes, small_object_scenes
from keras_attn.finetune import Turns, alternate
from keras_attn.layers import AttentionProposal

RESULTS = Path(__file__).parents[1] / "results" / "looking_zoom.csv"
MODES = ("fixed", "entropy", "joint", "turns")
SIDE, DIGIT, BATCH, SCENES, HELD_OUT = 96, 8, 32, 5000, 2000
RATE, LATER_RATE = 2e-3, 3e-4
FIRST, EPOCHS, ROUNDS = 8, 12, 3  # epochs before the proposals' pre-training, and after


def network() -> keras.Model:
    """Not compiled."""
    backbone = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Rescaling(1 / 127.5, -1),
            layers.AveragePooling2D(3),
        ]
    )
    for filters, stride in ((16, 1), (32, 2), (32, 1), (32, 2)):
        backbone.add(layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False))
        backbone.add(layers.BatchNormalization())
        backbone.add(layers.ReLU())
    functional = keras.Model(backbone.inputs, backbone.outputs)
    model = RACNN(functional, 10, scales=2, units=64, min_half=1 / 6)
    kernel = model.get_layer("proposal1").proposal.kernel
    kernel.assign(keras.ops.zeros(kernel.shape))  # boxes are the whole image
    return model


def fit(
    model: keras.Model,
    scenes: Scenes,
    epochs: int,
    rate: float,
    *terms: str,
    is_looking: bool = True,
) -> None:
    """Trains by some terms of the loss, with a proposal that learns or doesn't."""
    for layer in model.layers:
        layer.trainable = is_looking or not isinstance(layer, AttentionProposal)
    model.terms = terms
    model.compile(keras.optimizers.Adam(rate))
    model.fit(
        scenes.images.astype("float32"), scenes.labels, BATCH, epochs, verbose=0, shuffle=True
    )


def run(mode: str, seed: int) -> dict[str, Any]:
    """Trains one network; what it found on held-out scenes."""
    keras.utils.set_random_seed(seed)
    model = network()
    scenes = small_object_scenes(SCENES, size=SIDE, digit_height=DIGIT, seed=seed)
    images = scenes.images.astype("float32")
    start = time.perf_counter()
    fit(model, scenes, FIRST, RATE, "classification", is_looking=False)
    model.get_layer("proposal1").trainable = True
    with tempfile.TemporaryDirectory() as folder:
        first = Turns(rounds=0, batch_size=BATCH, seed=seed)
        optimizer = keras.optimizers.Adam(RATE)
        alternate(model, images, scenes.labels, folder, optimizer=optimizer, turns=first)
    if mode == "fixed":
        fit(model, scenes, EPOCHS, LATER_RATE, "classification", is_looking=False)
    elif mode == "turns":
        each = EPOCHS // (2 * ROUNDS)
        turns = Turns(ROUNDS, each, patience=each, pretraining_epochs=0, batch_size=BATCH)
        with tempfile.TemporaryDirectory() as folder:
            optimizer = keras.optimizers.Adam(LATER_RATE)
            alternate(model, images, scenes.labels, folder, optimizer=optimizer, turns=turns)
    else:
        ranking = ("ranking",) if mode == "joint" else ()
        fit(model, scenes, EPOCHS, LATER_RATE, "classification", *ranking)
    minutes = (time.perf_counter() - start) / 60
    test = small_object_scenes(HELD_OUT, size=SIDE, digit_height=DIGIT, seed=999_999)
    found = model.predict(test.images.astype("float32"), batch_size=100, verbose=0)
    accuracies = {
        name: round(100 * float((found[name].argmax(-1) == test.labels).mean()), 2)
        for name in ("scale1", "scale2", "probabilities")
    }
    boxes = found["boxes"][:, 0]
    holds = (np.abs(boxes[:, :2] - test.boxes[:, :2]) <= boxes[:, 2:]).all(axis=-1)
    return {
        **accuracies,
        "holds_the_digit": round(100 * float(holds.mean()), 2),
        "by_chance": round(100 * float(boxes[:, 2:].prod(axis=-1).mean()), 2),
        "parameters": model.count_params(),
        "minutes": round(minutes, 1),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    arguments = parser.parse_args()
    run_missing(RESULTS, ({"mode": m, "seed": s} for s in arguments.seeds for m in MODES), run)


if __name__ == "__main__":
    main()
