"""The whole path on real images with nothing to download: `keras-attn demo`.

Two examples. A small network with an `AttentionModule` and `SqueezeExcite` blocks is trained on
scikit-learn's handwritten digits, evaluated on held-out ones, exported, served, asked about an
image, and what it attended to is drawn. And SE-ResNet-20, which comes with the package trained on
CIFAR-10, is exported and served as it is: a photograph in, its class out.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers
from PIL import Image

from keras_attn import explain, export, serving, training
from keras_attn.applications import CIFARResNet
from keras_attn.data.batches.tensorflow_pipeline import evaluation_batches
from keras_attn.images import read_image
from keras_attn.layers import AttentionModule, BatchNormalization, SqueezeExcite
from keras_attn.weights.sources.cifar10 import FOLDER

PHOTOGRAPH = FOLDER / "horse.png"
SAY = functools.partial(print, flush=True)


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


def run(
    out: Path,
    epochs: int = 10,
    seed: int = 0,
    *,
    photograph: Path = PHOTOGRAPH,
    say: Callable[[str], object] = SAY,
) -> float:
    """Goes the whole way and says what it does.

    Args:
        out: Folder for everything that is written.
        epochs: Passes over the training digits.
        seed: Seeds the split, the weights and the order of the images.
        photograph: An image file of one of CIFAR-10's classes, of any size.
        say: Function that takes each line of what is done.

    Returns:
        The accuracy on the held-out digits.

    Raises:
        FileNotFoundError: If there is no `photograph`.
        ValueError: If it is no image.
    """
    start = time.perf_counter()
    read_image(photograph, (32, 32, 3))  # what can't be read is found before the training
    accuracy, files = _digits(out, epochs, seed, say)
    files.append(_photograph(out, photograph, say))
    say(f"Done in {time.perf_counter() - start:.0f} s. The files:")
    for path in files:
        say(f"   {path}")
    return accuracy


def _digits(
    out: Path, epochs: int, seed: int, say: Callable[[str], object]
) -> tuple[float, list[Path]]:
    data = training.load_dataset("digits", seed=seed)
    say(f"1. Training on {data.train_size} digits for {epochs} epochs")
    result = training.train(
        make_network, data, out / "run", epochs=epochs, batch_size=64, seed=seed, overwrite=True
    )
    accuracy = result.metrics["accuracy"]
    say(f"2. Accuracy on {data.test_size} held-out digits: {accuracy:.1%}")

    exported = export.export_saved_model(
        result.model, out / "served" / "digits", class_names=data.class_names
    )
    say(f"3. Exported a SavedModel, loaded it back and compared: {exported}")

    [images, labels] = next(iter(evaluation_batches(data, 1)))
    pixels, label = images[0].numpy().astype(np.uint8), int(labels[0])
    image_file = out / "digit.png"
    Image.fromarray(pixels).save(image_file)
    with serving.start_server(out / "served" / "digits") as server:
        say(f"4. Serving it at {server.model_url}")
        [answer] = serving.predict(server.model_url, [pixels.tolist()])
    best = int(np.argmax(answer["probabilities"]))
    say(
        f"5. Asked the server about a held-out {data.class_names[label]}: it says "
        f"{data.class_names[best]} with probability {answer['probabilities'][best]:.1%}; "
        "the server is stopped"
    )

    mask = explain.explain(result.model, pixels, out / "attention.png", "attention")
    say(f"6. Drew the attention mask over the image: {mask}")
    return accuracy, [*result.paths.values(), exported, image_file, mask]


def _photograph(out: Path, photograph: Path, say: Callable[[str], object]) -> Path:
    network = CIFARResNet(20, attention="se", weights="cifar10")
    exported = export.export_saved_model(network, out / "served" / "photographs")
    say(f"7. Exported SE-ResNet-20, which comes trained on CIFAR-10: {exported}")
    with serving.start_server(out / "served" / "photographs") as server:
        [answer] = serving.classify(server.model_url, [photograph.read_bytes()])
    say(
        f"8. Asked its server about {photograph.name}: it says {answer['labels'][0]} "
        f"with probability {answer['scores'][0]:.1%}"
    )
    return exported
