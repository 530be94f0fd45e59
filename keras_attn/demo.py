"""The whole path on real images with nothing to download: `python -m keras_attn.demo`.

Trains a small network with an `AttentionModule` and `SqueezeExcite` blocks on scikit-learn's
handwritten digits, evaluates it on held-out ones, exports it, serves it, asks the server about an
image, and draws what the network attended to.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TextIO

import keras
import numpy as np
from keras import layers
from PIL import Image

from keras_attn import explain, export, serving, training
from keras_attn.data.batches.tensorflow_pipeline import evaluation_batches
from keras_attn.layers import AttentionModule, BatchNormalization, SqueezeExcite


def make_network(image_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10) -> keras.Model:
    """A small network: convolutions with squeeze-and-excitation around one attention module.

    Args:
        image_shape: (H, W, C) of the images, whose pixels are in 0..255.
        classes: Number of classes.

    Returns:
        A functional model from (B, H, W, C) to probabilities (B, classes).
    """

    def block(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
        x = layers.Conv2D(filters, 3, 2, padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
        x = layers.Activation("relu", name=f"{name}_relu")(x)
        return SqueezeExcite(ratio=8, name=f"{name}_se")(x)

    image = keras.Input(image_shape, name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(image)
    x = block(x, 32, "block1")  # 16x16
    x = AttentionModule(mask_depth=2, name="attention")(x)
    x = block(x, 64, "block2")  # 8x8
    x = block(x, 128, "block3")  # 4x4
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(image, x, name="digits_attention")


def run(out: Path, epochs: int = 10, seed: int = 0) -> float:
    """Goes the whole way and says what it does.

    Args:
        out: Folder for everything that is written.
        epochs: Passes over the training digits.
        seed: Seeds the split, the weights and the order of the images.

    Returns:
        The accuracy on the held-out digits.
    """
    start = time.perf_counter()
    data = training.load_dataset("digits", seed=seed)
    _say(f"1. Training on {data.train_size} digits for {epochs} epochs")
    result = training.train(
        make_network, data, out / "run", epochs=epochs, batch_size=64, seed=seed, overwrite=True
    )
    accuracy = result.metrics["accuracy"]
    _say(f"2. Accuracy on {data.test_size} held-out digits: {accuracy:.1%}")

    exported = export.export_saved_model(
        result.model, out / "served" / "digits", class_names=data.class_names
    )
    _say(f"3. Exported a SavedModel, loaded it back and compared: {exported}")

    [images, labels] = next(iter(evaluation_batches(data, 1)))
    pixels, label = images[0].numpy().astype(np.uint8), int(labels[0])
    image_file = out / "digit.png"
    Image.fromarray(pixels).save(image_file)
    with serving.start_server(out / "served" / "digits") as server:
        _say(f"4. Serving it at {server.model_url}")
        [answer] = serving.predict(server.model_url, [pixels.tolist()])
    best = int(np.argmax(answer["probabilities"]))
    _say(
        f"5. Asked the server about a held-out {data.class_names[label]}: it says "
        f"{data.class_names[best]} with probability {answer['probabilities'][best]:.1%}; "
        "the server is stopped"
    )

    mask = explain.explain(result.model, pixels, out / "attention.png", "attention")
    _say(f"6. Drew the attention mask over the image: {mask}")
    _say(f"Done in {time.perf_counter() - start:.0f} s. The files:")
    for path in (*result.paths.values(), exported, image_file, mask):
        _say(f"   {path}")
    return accuracy


def main(arguments: list[str] | None = None) -> int:
    """The command line of the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m keras_attn.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="default: %(default)s/")
    parser.add_argument("--epochs", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parsed = parser.parse_args(arguments)
    try:
        run(parsed.out, parsed.epochs, parsed.seed)
    except (ValueError, OSError, RuntimeError) as error:
        _say(f"error: {error}", sys.stderr)
        return 1
    return 0


def _say(text: str, stream: TextIO | None = None) -> None:
    print(text, file=stream or sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
