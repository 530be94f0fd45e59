"""Where each word of a caption looks: soft, hard and even attention.

    python -m benchmarks.looking.captions [--steps 1500] [--seeds 0 1 2]

`ShowAttendTell` on grids of 4 x 4 cells with 2 to 4 coloured shapes, whose captions name them in
reading order; 1,000 grids are held out. A network with convolutions that see far carries each
cell's position and neighbours in its features, and captions as well with even weights: so each
cell's features are here of its own pixels alone (one convolution of 8 x 8, strided by 8) and of its
place, one-hot. Adam at 2e-3, batches of 64, gradients clipped to a norm of 5, no dropout; the
doubly stochastic term is off, as captions have fewer words than the grid has cells.

Of each run the accuracy of words by teacher forcing, that of whole captions by greedy search, and
the share of the attention that is in the cell that the word names (by chance 6.25 %).

Each run is a row of `results/looking_captions.csv`; what is there already isn't run again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.looking.runs import run_missing, steps_and_seeds
from keras_attn.applications import Captioner, ShowAttendTell
from keras_attn.data.synthetic import caption_grid

RESULTS = Path(__file__).parents[1] / "results" / "looking_captions.csv"
MODES = ("soft", "uniform", "hard")
CELLS, CELL, BATCH, STEPS_OF_EPOCH = 4, 8, 64, 100


class WithPlaces(layers.Layer):
    """Adds to each cell's features its number, one-hot."""

    def call(self, inputs: Any) -> Any:
        """(B, 4, 4, D) to (B, 4, 4, D + 16)."""
        places = keras.ops.reshape(keras.ops.eye(CELLS**2), (1, CELLS, CELLS, CELLS**2))
        shape = (keras.ops.shape(inputs)[0], CELLS, CELLS, CELLS**2)
        return keras.ops.concatenate([inputs, keras.ops.broadcast_to(places, shape)], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """With 16 channels more."""
        return (*input_shape[:3], (input_shape[3] or 0) + CELLS**2)


def network(mode: str, seed: int) -> Captioner:
    """Not compiled."""
    backbone = keras.Sequential(
        [
            keras.Input((CELLS * CELL, CELLS * CELL, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(48, CELL, strides=CELL, activation="relu"),
            WithPlaces(),
        ]
    )
    return ShowAttendTell(
        backbone,
        9,
        max_length=9,
        embedding_dim=32,
        units=128,
        attention_units=64,
        mode=mode,
        dropout=0.0,
        seed=seed,
        doubly_stochastic=0.0,
    )


def run(mode: str, seed: int, steps: int) -> dict[str, Any]:
    """Trains one network; what it found on held-out grids, in percent."""
    keras.utils.set_random_seed(seed)
    model = network(mode, seed)
    model.compile(keras.optimizers.Adam(2e-3, global_clipnorm=5.0))
    start = time.perf_counter()
    for epoch in range(steps // STEPS_OF_EPOCH):
        drawn = caption_grid(BATCH * STEPS_OF_EPOCH, seed=seed * 1_000_000 + epoch)
        data = {"image": drawn.images, "tokens": drawn.tokens}
        model.fit(data, drawn.tokens, batch_size=BATCH, verbose=0)
    minutes = (time.perf_counter() - start) / 60
    test = caption_grid(1000, seed=999_999)
    is_word = test.tokens > 0
    found = model.predict({"image": test.images, "tokens": test.tokens}, 250, verbose=0)
    right = found["logits"].argmax(-1) == test.tokens
    maps = found["attention"].reshape(*test.tokens.shape, CELLS**2)
    in_cell = np.take_along_axis(maps, np.maximum(test.cells, 0)[..., None], 2)[..., 0]
    written = model.generate(test.images, max_length=9, batch_size=250)["tokens"]
    return {
        "words": round(100 * float(right[is_word].mean()), 2),
        "captions": round(100 * float((written == test.tokens).all(axis=1).mean()), 2),
        "in_the_cell": round(100 * float(in_cell[is_word].mean()), 2),
        "parameters": model.count_params(),
        "minutes": round(minutes, 1),
    }


def main() -> None:
    """The command line."""
    given = steps_and_seeds(__doc__, 1500)
    runs = (
        {"mode": mode, "seed": seed, "steps": given.steps} for seed in given.seeds for mode in MODES
    )
    run_missing(RESULTS, runs, run)


if __name__ == "__main__":
    main()
