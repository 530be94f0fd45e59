"""Detectors on three networks of one size: mean average precision on scenes of shapes.

    pip install keras-hub pycocotools
    KERAS_BACKEND=torch python -m benchmarks.looking.detection [--steps 600] [--picture FILE]
        [--model FILE]

KerasHub's RetinaNet on ResNet-18, SE-ResNet-18, and ResNet-18 attention augmented in its last three
stages, from random weights, on scenes of 64 x 64 with 1 to 4 disks, squares and triangles of 8 to
32 pixels. Three levels of strides 8, 16 and 32, anchors of 2 strides at three scales and ratios,
one convolution before each head's last. Adam at 1e-3 falling to 0 by a cosine, batches of 16,
gradients clipped to a norm of 10; scenes are drawn anew all the time, the same for the three
networks of a seed.

Any backend will do. On a CPU PyTorch takes half of TensorFlow's time, whose gradient of a 3x3
convolution of 512 channels takes 20 times the forward pass on a map of 2 x 2.

KerasHub 0.32 gives the prior probability to the head of boxes, not to that of classes, and draws
the kernels of both with a standard deviation of 0.05; here they begin as RetinaNet's paper has it:
0.01, and a prior of 0.01 for the classes.

Of each run the measures of COCO, by pycocotools, in percent of 500 scenes held out: AP from IoU .5
to .95, and AP at .5 and .75.

Each run is a row of `results/looking_detection.csv`; what is there already isn't run again.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.measuring import save
from keras_attn.applications import Detector, ResNet18, SEResNet18, detector_of
from keras_attn.data.synthetic import shape_scenes
from keras_attn.data.synthetic.shape_scenes import SHAPES, ShapeScenes
from keras_attn.explain import draw_boxes

RESULTS = Path(__file__).parents[1] / "results" / "looking_detection.csv"
SIDE, SIDES, BATCH, STEPS_OF_EPOCH, HELD_OUT = 64, (8, 32), 16, 100, 500
PRIOR = 0.01
NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "ResNet-18": ResNet18,
    "SE-ResNet-18": SEResNet18,
    "AA-ResNet-18": lambda **options: ResNet18(attention="aa", stages=(2, 3, 4), **options),
}


def detector(name: str) -> keras.Model:
    """KerasHub's, of random weights, not compiled."""
    import keras_hub

    encoder = NETWORKS[name](
        include_top=False, include_preprocessing=True, input_shape=(SIDE, SIDE, 3)
    )
    backbone = keras_hub.models.RetinaNetBackbone(
        image_encoder=encoder,
        min_level=3,
        max_level=5,
        use_p5=False,
        image_shape=(SIDE, SIDE, 3),
    )
    anchors = keras_hub.layers.AnchorGenerator(
        bounding_box_format="xywh",
        min_level=3,
        max_level=5,
        num_scales=3,
        aspect_ratios=[0.5, 1.0, 2.0],
        anchor_size=2.0,
    )
    model = keras_hub.models.RetinaNetObjectDetector(
        backbone=backbone,
        num_classes=len(SHAPES),
        anchor_generator=anchors,
        pre_logits_num_conv_layers=1,
        bounding_box_format="xywh",
    )
    for head, bias in (
        (model.box_head, 0.0),
        (model.classification_head, -math.log((1 - PRIOR) / PRIOR)),
    ):
        last = head.prediction_layer
        for convolution in (*head.conv_layers, last):
            convolution.kernel.assign(convolution.kernel * 0.2)  # 0.05 to 0.01
        last.bias.assign(keras.ops.full(last.bias.shape, bias))
    return model


def objects(scenes: ShapeScenes) -> dict[str, np.ndarray]:
    """Boxes in COCO's form and classes, as KerasHub's detector is trained on; -1 of no object."""
    corners = scenes.corners
    boxes = np.concatenate([corners[..., :2], corners[..., 2:] - corners[..., :2]], axis=-1)
    boxes[scenes.labels < 0] = -1
    return {"boxes": boxes, "labels": scenes.labels.astype("float32")}


def average_precision(
    scenes: ShapeScenes, found: Sequence[dict[str, np.ndarray]]
) -> dict[str, float]:
    """COCO's measures in percent, by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    given, truth = objects(scenes), COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": number} for number in range(len(scenes.images))],
        "categories": [{"id": number, "name": name} for number, name in enumerate(SHAPES)],
        "annotations": [
            {
                "image_id": image,
                "category_id": int(given["labels"][image, which]),
                "bbox": given["boxes"][image, which].tolist(),
                "area": float(given["boxes"][image, which, 2:].prod()),
                "iscrowd": 0,
            }
            for image, which in np.argwhere(scenes.labels >= 0).tolist()
        ],
    }
    for number, each in enumerate(truth.dataset["annotations"], start=1):
        each["id"] = number
    answers = [
        {"image_id": image, "category_id": int(label), "bbox": box.tolist(), "score": float(score)}
        for image, each in enumerate(found)
        for box, score, label in zip(each["boxes"], each["scores"], each["classes"], strict=True)
    ]
    names = {"ap": 0, "ap50": 1, "ap75": 2}
    if not answers:
        return dict.fromkeys(names, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        measure = COCOeval(truth, truth.loadRes(answers), "bbox")
        measure.evaluate()
        measure.accumulate()
        measure.summarize()
    return {name: round(100 * float(measure.stats[index]), 2) for name, index in names.items()}


def run(name: str, seed: int, steps: int) -> tuple[dict[str, Any], Detector]:
    """Trains one detector; what it found on held-out scenes, and the network."""
    keras.utils.set_random_seed(seed)
    model = detector(name)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    model.compile(
        optimizer=keras.optimizers.Adam(rate, global_clipnorm=10.0),
        box_loss=keras.losses.Huber(reduction="sum"),
        classification_loss=keras.losses.BinaryFocalCrossentropy(
            apply_class_balancing=True, from_logits=True, reduction="sum"
        ),
        jit_compile=False,  # XLA takes longer on a CPU
    )
    start = time.perf_counter()
    for epoch in range(steps // STEPS_OF_EPOCH):
        drawn = shape_scenes(
            BATCH * STEPS_OF_EPOCH, size=SIDE, sides=SIDES, seed=seed * 1_000_000 + epoch
        )
        model.fit(
            drawn.images.astype("float32"),
            objects(drawn),
            batch_size=BATCH,
            shuffle=False,
            verbose=0,
        )
    minutes = (time.perf_counter() - start) / 60
    test = shape_scenes(HELD_OUT, size=SIDE, sides=SIDES, seed=999_999)
    trained = detector_of(model, score_threshold=0.05, class_names=SHAPES)
    found = average_precision(test, trained.detect(test.images.astype("float32")))
    row: dict[str, Any] = {"network": name, "seed": seed, "steps": steps, **found}
    return {**row, "parameters": model.count_params(), "minutes": round(minutes, 1)}, trained


def draw(trained: Detector, file: str) -> Path:
    """Draws what is right and what is found in three scenes held out."""
    test = shape_scenes(3, size=SIDE, sides=SIDES, seed=999_998)
    given = objects(test)
    right = [
        {"boxes": boxes[labels >= 0], "classes": labels[labels >= 0].astype(int)}
        for boxes, labels in zip(given["boxes"], given["labels"], strict=True)
    ]
    found = [
        {name: value[each["scores"] > 0.5] for name, value in each.items()}
        for each in trained.detect(test.images.astype("float32"))
    ]
    return draw_boxes(test.images, {"right": right, "found": found}, file, class_names=SHAPES)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=600, help="default: %(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--picture", help="PNG that the last network's answers are drawn into")
    parser.add_argument("--model", help=".keras that the last network is saved in")
    arguments = parser.parse_args()
    backend, there = keras.config.backend(), set()
    if RESULTS.exists():
        with open(RESULTS, newline="", encoding="utf-8") as file:
            there = {
                (row["network"], int(row["seed"]), int(row["steps"]))
                for row in csv.DictReader(file)
            }
    for seed in arguments.seeds:
        for name in arguments.networks:
            if (name, seed, arguments.steps) not in there:
                row, trained = run(name, seed, arguments.steps)
                print(*row.values(), flush=True)
                save(RESULTS, [row], "keras", "keras-hub", "pycocotools", backend, append=True)
                if arguments.picture:
                    draw(trained, arguments.picture)
                if arguments.model:
                    trained.save(arguments.model)


if __name__ == "__main__":
    main()
