"""What a channel's gate says of a class: Hu et al., CVPR 2018, section 7.2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn._keras import classified
from keras_attn.explain.maps import attention_layers, check_images
from keras_attn.explain.watching import (
    attention_layers_by_name,
    record_attention,
    replaced_calls,
)
from keras_attn.layers import attention_by_channel, attention_form
from keras_attn.typing import Tensor


@dataclass(frozen=True)
class Profile:
    """The gates of one layer by class.

    Attributes:
        mean: float64 (K, C), mean over a class's images.
        std: float64 (K, C), their standard deviation, that of the population.
        count: int64 (K,), how many images each class had.
    """

    mean: np.ndarray
    std: np.ndarray
    count: np.ndarray


def class_profiles(
    model: keras.Model,
    data: Iterable[tuple[Any, Any]] | tuple[np.ndarray, np.ndarray],
    *,
    classes: int | None = None,
    layers: Sequence[str] | None = None,
    batch_size: int = 128,
) -> dict[str, Profile]:
    """Gives the mean and deviation of each gate by class.

    A gate of channels is taken as it is. Of a mask, or a gate of places, each channel's mean over
    the places is taken. Self-attention has no gates and is left out.

    Args:
        model: A functional or `Sequential` model.
        data: `(images, labels)`, or batches of them such as a `tf.data.Dataset`; images (B, H, W,
            C) as the model takes them, labels integers (B,). Batches are read once, one at a time.
        classes: Number of the classes K. By default that of the model's outputs.
        layers: Names of layers. By default all that have gates.
        batch_size: Size of the batches that arrays are cut into.

    Returns:
        By the layer's name, in the model's order.

    Raises:
        ValueError: If the model has no gates, or not in a layer that is named, if there is no
            image, or a label is no class.

    Example:

    >>> model = keras_attn.applications.CIFARResNet(8, attention="se")
    >>> images, labels = np.zeros((4, 32, 32, 3)), np.array([0, 1, 1, 2])
    >>> profiles = class_profiles(model, (images, labels))
    >>> profile = profiles["stage3_block1_se"]
    >>> profile.mean.shape, profile.count[:4]
    ((10, 64), array([1, 2, 1, 0]))
    """
    names = _names_of_gates(model, layers)
    classes = int(classified(model).shape[-1]) if classes is None else classes
    probe = _Probe(model, names)
    probe.compile(jit_compile=False)
    sums: dict[str, _Sums] = {}
    for images, labels in _batches(data, batch_size):
        labels = _checked_labels(labels, len(images), classes)
        gates = probe.predict_on_batch(check_images(model, images))
        for name, values in zip(names, gates, strict=True):
            values = np.asarray(values, "float64")
            sums.setdefault(name, _Sums(classes, values.shape[1])).add(values, labels)
    if not sums:
        raise ValueError("`data` must have an image. Received: none")
    return {name: sums[name].profile() for name in names}


def selectivity(profiles: Mapping[str, Profile]) -> dict[str, float]:
    """How much a layer's gates differ between classes, against how much within one.

    It is the variance of the classes' means over the mean variance within classes, each the mean
    over the channels; classes without images don't count. With labels at random and n images a
    class it is about 1 / n.

    Args:
        profiles: Profiles from `class_profiles`.

    Returns:
        By the layer's name; 0 where all gates are the same, infinite where they differ between
        classes alone.

    Example:

    >>> profile = Profile(np.array([[0.0], [1.0]]), np.array([[0.5], [0.5]]), np.array([9, 9]))
    >>> selectivity({"se": profile})
    {'se': 1.0}
    """
    found = {}
    for name, profile in profiles.items():
        there = profile.count > 0
        between = float(profile.mean[there].var(axis=0).mean())
        within = float((profile.std[there] ** 2).mean())
        found[name] = between / within if within else (np.inf if between else 0.0)
    return found


class _Probe(keras.Model):
    """Gives the gates of a model, compiled as `predict` compiles it."""

    def __init__(self, model: keras.Model, names: Sequence[str]):
        super().__init__(name="probe")
        self.model = model
        self.names = names

    def call(self, images: Tensor) -> list[Tensor]:
        layers = attention_layers_by_name(self.model)
        seen: dict[str, tuple[Tensor, Tensor]] = {}
        record = partial(record_attention, seen)
        with replaced_calls({name: (layers[name], record(name)) for name in self.names}):
            self.model(images, training=False)
        return [_by_channel(layers[name], seen[name][1]) for name in self.names]


class _Sums:
    """Means and sums of squared deviations by class, of batch after batch (Chan et al., 1983)."""

    def __init__(self, classes: int, channels: int):
        self.count = np.zeros(classes, "int64")
        self.mean = np.zeros((classes, channels))
        self.squares = np.zeros((classes, channels))

    def add(self, values: np.ndarray, labels: np.ndarray) -> None:
        """Adds (B, C) of the classes (B,)."""
        for label in np.unique(labels):
            of_class = values[labels == label]
            before, new = self.count[label], len(of_class)
            change = of_class.mean(axis=0) - self.mean[label]
            self.count[label] = before + new
            self.mean[label] += change * new / (before + new)
            self.squares[label] += ((of_class - of_class.mean(axis=0)) ** 2).sum(axis=0)
            self.squares[label] += change**2 * before * new / (before + new)

    def profile(self) -> Profile:
        """What was added so far."""
        std = np.sqrt(self.squares / np.maximum(self.count, 1)[:, None])
        return Profile(self.mean, std, self.count)


def _names_of_gates(model: keras.Model, layers: Sequence[str] | None) -> list[str]:
    known = attention_layers_by_name(model) if attention_layers(model) else {}
    gates = [name for name, layer in known.items() if attention_form(layer) not in ("map", "boxes")]
    if not gates:
        raise ValueError(
            "`model` must have layers with gates, such as SqueezeExcite. "
            f"Received: model {model.name!r} with self-attention only"
        )
    names = gates if layers is None else list(layers)
    if not names or not set(names) <= set(gates):
        raise ValueError(
            f"`layers` must be names of layers with gates, {', '.join(gates)}. "
            f"Received: layers={layers!r}"
        )
    return names


def _by_channel(layer: Any, attention: Tensor) -> Tensor:
    """(B, C); the branches of a gate one behind another."""
    if attention_form(layer) == "channel_gate":
        gate = attention_by_channel(layer, attention)
        return ops.reshape(gate, (-1, int(np.prod(gate.shape[1:]))))
    is_last = getattr(layer, "data_format", "channels_last") != "channels_first"
    return ops.mean(attention, axis=(1, 2) if is_last else (2, 3))


def _batches(data: Any, batch_size: int) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    if isinstance(data, tuple) and len(data) == 2 and not isinstance(data[0], tuple):
        images, labels = (np.asarray(each) for each in data)
        if len(images) != len(labels):
            raise ValueError(
                "`data` must have a label for each image. "
                f"Received: {len(images)} images and {len(labels)} labels"
            )
        for start in range(0, len(images), batch_size):
            yield images[start : start + batch_size], labels[start : start + batch_size]
    else:
        for images, labels in data:
            yield np.asarray(images), np.asarray(labels)


def _checked_labels(labels: np.ndarray, images: int, classes: int) -> np.ndarray:
    if labels.shape != (images,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            "`data` must have integers (B,) for labels. "
            f"Received: labels of shape {labels.shape} and dtype {labels.dtype} "
            f"for {images} images"
        )
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise ValueError(
            f"`data` must have labels from 0 to {classes - 1}. Received: a label {wrong[0]}"
        )
    return labels
