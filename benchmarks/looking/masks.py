"""Masks of classes that compete, of classes that don't, and one mask for any class.

    python -m benchmarks.looking.masks [--steps 1000] [--seeds 0 1 2]

Mask R-CNN's mask branch (He et al., ICCV 2017) on scenes of 64 x 64 with three shapes that touch or
cover each other, whose boxes and classes are given. Three convolutions of stride 2 and 48 channels,
RoIAlign of 14 x 14, `MaskHead` of two convolutions, masks of 28 x 28. `sigmoid`:
`ClassMaskCrossentropy`, a mask for each class, of which the true one's alone learns. `softmax`: the
classes and the ground compete at each pixel. `agnostic`: one mask, whatever the class. Adam at 1e-3
with a cosine to 0, batches of 16 scenes, drawn anew all the time.

The measure is the IoU of a region's mask, in percent: the mean of all regions of 1,000 scenes held
out, and of those in whose box another class has a tenth of the pixels or more.

Each run is a row of `results/looking_masks.csv`; what is there already isn't run again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.looking.runs import run_missing, steps_and_seeds
from keras_attn.data.synthetic import ShapeScenes, mask_crops, shape_scenes
from keras_attn.data.synthetic.shape_scenes import SHAPES
from keras_attn.layers import BoxCrop2D, MaskHead
from keras_attn.losses import ClassMaskCrossentropy, class_mask_targets

RESULTS = Path(__file__).parents[1] / "results" / "looking_masks.csv"
SIDE, OBJECTS, MASK, WIDTH, CLASSES = 64, 3, 28, 48, len(SHAPES)
MODES = {"sigmoid": CLASSES, "softmax": CLASSES + 1, "agnostic": 1}  # and their masks
BATCH, STEPS_OF_EPOCH, HELD_OUT = 16, 100, 1000


class RoIAlign(layers.Layer):
    """Four samples of each of 14 x 14 places of each region; the regions of all images in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.crop = BoxCrop2D(MASK, units="normalized")

    def call(self, features: Any, boxes: Any) -> Any:
        """(B, h, w, C) and (B, R, 4) to (B R, 14, 14, C)."""
        crops = ops.reshape(self.crop(features, boxes), (-1, MASK, MASK, WIDTH))
        return ops.average_pool(crops, 2, 2)


class ByImage(layers.Layer):
    """The masks of each image's regions."""

    def call(self, masks: Any) -> Any:
        """(B R, m, m, K) to (B, R, m, m, K)."""
        return ops.reshape(masks, (-1, OBJECTS, *masks.shape[1:]))


def network(mode: str) -> keras.Model:
    """From images and boxes to logits (B, R, m, m, K), not compiled."""
    image, boxes = keras.Input((SIDE, SIDE, 3)), keras.Input((OBJECTS, 4))
    x = layers.Rescaling(1 / 127.5, -1)(image)
    x = layers.Conv2D(WIDTH, 5, strides=2, padding="same", activation="relu")(x)
    for _ in range(2):
        x = layers.Conv2D(WIDTH, 3, padding="same", activation="relu")(x)
    masks = MaskHead(MODES[mode], WIDTH, depth=2)(RoIAlign()(x, boxes))
    return keras.Model([image, boxes], ByImage()(masks))


def loss_of(mode: str) -> Any:
    """A function of labels (B, R, m, m) and logits; a label is the class, or negative.

    Of the pixels of an object of class c, labels are c where it is seen and -2 - c elsewhere; of no
    object, -1.
    """

    def of_classes(labels: Any, logits: Any) -> Any:
        labels = ops.reshape(ops.cast(labels, "int32"), (-1, MASK, MASK))
        logits = ops.reshape(logits, (-1, MASK, MASK, MODES[mode]))  # Keras leaves a 1 out
        is_seen = ops.cast(labels >= 0, "float32")
        classes = ops.where(labels < -1, -2 - labels, labels)
        if mode == "softmax":
            right = ops.one_hot(ops.where(labels < 0, 0, labels + 1), CLASSES + 1)
            counts = ops.cast(classes >= 0, "float32")
            losses = keras.losses.categorical_crossentropy(right, logits, from_logits=True)
            return ops.sum(losses * counts) / ops.maximum(ops.sum(counts), 1)
        classes = classes[:, 0, 0]
        if mode == "agnostic":
            classes = ops.minimum(classes, 0)
        targets = class_mask_targets(is_seen, classes, MODES[mode])
        return ClassMaskCrossentropy()(targets, logits)

    return of_classes


def labels_of(scenes: ShapeScenes, masks: np.ndarray) -> np.ndarray:
    """The labels that `loss_of` explains."""
    classes = scenes.labels[:, :, None, None]
    return np.where(classes < 0, -1, np.where(masks, classes, -2 - classes))


def drawn(count: int, seed: int) -> ShapeScenes:
    """Three shapes that cover each other."""
    return shape_scenes(
        count, size=SIDE, objects=(OBJECTS, OBJECTS), sides=(16, 36), seed=seed, noise=20.0
    )


def run(mode: str, seed: int, steps: int) -> dict[str, Any]:
    """Trains one network; the IoU of its masks on held-out scenes, in percent."""
    keras.utils.set_random_seed(seed)
    model = network(mode)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    model.compile(keras.optimizers.Adam(rate), loss_of(mode))
    start = time.perf_counter()
    for epoch in range(steps // STEPS_OF_EPOCH):
        scenes = drawn(BATCH * STEPS_OF_EPOCH, seed * 1_000_000 + epoch)
        labels = labels_of(scenes, mask_crops(scenes, MASK))
        model.fit([scenes.images, scenes.boxes], labels, batch_size=BATCH, verbose=0)
    minutes = (time.perf_counter() - start) / 60
    test = drawn(HELD_OUT, 999_999)
    logits = model.predict([test.images, test.boxes], batch_size=100, verbose=0)
    is_object, right = test.labels >= 0, mask_crops(test, MASK).astype(bool)
    if mode == "softmax":
        found = logits.argmax(-1) == test.labels[:, :, None, None] + 1
    elif mode == "agnostic":
        found = logits[..., 0] > 0
    else:
        own = np.maximum(test.labels, 0)[:, :, None, None, None]
        found = np.take_along_axis(logits, own, -1)[..., 0] > 0
    pixels = (2, 3)
    iou = (found & right).sum(pixels) / np.maximum((found | right).sum(pixels), 1)
    is_mixed = is_object & (others(test) >= 0.1)
    return {
        "iou": round(100 * float(iou[is_object].mean()), 2),
        "iou_of_several": round(100 * float(iou[is_mixed].mean()), 2),
        "regions": int(is_object.sum()),
        "of_several": int(is_mixed.sum()),
        "parameters": model.count_params(),
        "minutes": round(minutes, 1),
    }


def others(scenes: ShapeScenes) -> np.ndarray:
    """(N, M), the share of other classes in each object's box."""
    shares = np.zeros(scenes.labels.shape)
    for number, which in np.argwhere(scenes.labels >= 0).tolist():
        left, top, right, bottom = np.round(scenes.corners[number, which]).astype(int)
        shown = scenes.masks[number, top:bottom, left:right]
        is_other = (shown > 0) & (shown != scenes.labels[number, which] + 1)
        shares[number, which] = is_other.mean()
    return shares


def main() -> None:
    """The command line."""
    given = steps_and_seeds(__doc__, 1000)
    runs = (
        {"mode": mode, "seed": seed, "steps": given.steps} for seed in given.seeds for mode in MODES
    )
    run_missing(RESULTS, runs, run)


if __name__ == "__main__":
    main()
