"""What every family of networks must do, as a class of tests that its own test file extends."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.layer_contract import assert_close
from helpers.paths import GOLDEN
from keras_attn import applications
from keras_attn.applications import MODELS, pyramid_outputs
from keras_attn.applications.common import residual_network

LAYER_NAMES = GOLDEN / "layer_names"
OF_A_DICT = (
    applications.DeepRecurrentAttention,
    applications.RACNN,
    applications.RecurrentAttention,
    applications.ScaleAwareSegmentation,
    applications.TwoDepthFCN,
    applications.ShowAttendTell,
)
OF_PIXELS = (applications.DANet, applications.DeepLabV3, applications.FCN)


def constructors() -> list[Callable[..., keras.Model]]:
    """The public functions that make a classifier of one output: they are named like classes."""
    return [
        value
        for name, value in vars(applications).items()
        if inspect.isfunction(value) and name[0].isupper() and value not in OF_A_DICT + OF_PIXELS
    ]


def image(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, size=shape).astype("float32")


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    """An image of the range that `as_trained` makes a network used to."""
    return 127.5 * (1 + image(*shape, seed=seed))


def as_trained(model):
    """The model, as well conditioned as a trained one: else a rounding grows with every block.

    Its BatchNormalization holds what random images give, of several coarsenesses and contrasts:
    what it has not seen would grow as well. And a branch is small beside what it is added to:
    without that, one rounding step of the images moves AA-ResNet-110's logits by 0.5 of 16, in
    float64 too.
    """
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
        behind = [node.operation for node in layer._outbound_nodes]
        added = any(isinstance(operation, keras.layers.Add) for operation in behind)
        if added and not layer.name.endswith("projection_bn"):  # the shortcut's
            layer.gamma.assign(layer.gamma / 4)
    *size, channels = model.input_shape[1:]
    rng = np.random.default_rng(0)
    images = [
        keras.ops.image.resize(
            rng.integers(0, 256, (side, side, channels)).astype("float32"),
            size,
            interpolation="nearest",
        )
        for side in (1, 1, 2, 4, 8, 16, 32, size[0])
    ]
    model(keras.ops.stack(images), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    return model


def logits(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """What comes before the softmax, which says little of a network with random weights."""
    head = model.layers[-1]
    features = keras.Model(model.inputs[0], head.input)(x)
    return keras.ops.convert_to_numpy(features @ head.kernel + head.bias)


def count_trainable(model: keras.Model) -> int:
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def layer_names(model: keras.Model) -> list[str]:
    """Names of the layers in order, but for the input's, which Keras numbers."""
    return [x.name for x in model.layers if not isinstance(x, keras.layers.InputLayer)]


def read_layer_names(name: str) -> list[str]:
    return (LAYER_NAMES / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def write_layer_names(name: str) -> None:
    text = "\n".join(layer_names(MODELS[name]())) + "\n"
    (LAYER_NAMES / f"{name}.txt").write_text(text, encoding="utf-8")


def cut(variants: dict, blocks: tuple[int, int, int, int]) -> dict:
    """A table of residual networks with other numbers of blocks."""
    return {key: each._replace(blocks=blocks) for key, each in variants.items()}


def narrow(*modules: ModuleType) -> dict[tuple[Any, str], Any]:
    """`NetworkChecks.slim` of these families: fewer filters, a block or two in each stage."""
    slim: dict[tuple[Any, str], Any] = {(residual_network, "FILTERS"): (64, 96, 128, 256)}
    for module in modules:
        for name in {"RESNETS", "RESNEXTS"} & set(vars(module)):
            slim[module, name] = cut(getattr(residual_network, name), (1, 2, 1, 1))
    return slim


class NetworkChecks:
    """Keras's own checks of its applications, and what it does not check, of one family.

    What `construct` does for all is checked in tests/applications/common/test_construct.py.

    Attributes:
        make: The constructor, with what makes it small.
        slim: Changes that make its body small: `(module, name)` -> another value of a table there.
        small: Side of an image that is quick and whose last map is larger than one pixel.
        odd: A size of odd sides.
        channels: Channels of the last map.
        strides: Stride of each level of the pyramid.
        no_gradient: Ends of the paths of weights that no loss can move.
    """

    make: ClassVar[Callable[..., keras.Model]]
    slim: ClassVar[dict[tuple[Any, str], Any]] = {}
    small: ClassVar[int] = 64
    odd: ClassVar[tuple[int, int]] = (75, 45)
    channels: ClassVar[int]
    strides: ClassVar[dict[str, int]] = {"P2": 4, "P3": 8, "P4": 16, "P5": 32}

    no_gradient: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def slimmed(cls):
        with pytest.MonkeyPatch.context() as patch:
            for (module, name), value in cls.slim.items():
                patch.setattr(module, name, value)
            yield

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, slimmed):
        """One that no test may train or set."""
        keras.utils.set_random_seed(0)  # with some, all units of a small gate are dead
        model = cls.make(input_shape=(None, None, 3), classes=7)
        before = [np.sum(w) for w in model.weights]
        yield model
        assert [np.sum(w) for w in model.weights] == before

    def test_any_size_with_a_top_and_a_pyramid(self, model):
        levels = pyramid_outputs(model)
        assert list(levels) == list(self.strides)
        with_levels = keras.Model(model.inputs[0], (model.output, levels))
        even = (self.small, 2 * self.small)
        for size in (even, self.odd):
            y, maps = with_levels(image(2, *size, 3))
            assert y.shape == (2, 7)
            np.testing.assert_allclose(np.sum(y, axis=-1), 1, rtol=1e-5)
            assert maps[list(maps)[-1]].shape[-1] == self.channels
            for name, stride in self.strides.items() if size == even else ():
                assert maps[name].shape[1:3] == (self.small // stride, 2 * self.small // stride)

    @pytest.mark.slow
    def test_keras_file(self, model, tmp_path):
        self.check_keras_file(model, tmp_path)

    def check_keras_file(self, model, tmp_path):
        model.save(tmp_path / "model.keras")
        x = image(1, self.small, self.small, 3)
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert_close(logits(loaded, x), logits(model, x), 1e-6)
        assert list(pyramid_outputs(loaded)) == list(self.strides)
        assert layer_names(loaded) == layer_names(model)

    def test_every_weight_gets_a_gradient(self, model):
        before = [(w, w.numpy()) for w in model.non_trainable_weights]
        with tf.GradientTape() as tape:
            y = model(image(2, self.small, self.small, 3), training=True)
            loss = tf.reduce_sum(tf.math.log(y) * np.eye(7, dtype="float32")[[1, 5]])
        gradients = tape.gradient(loss, [w.value for w in model.trainable_weights])
        for weight, value in before:  # the statistics that a training step moves
            weight.assign(value)
        for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
            assert gradient is not None, weight.path
            assert bool(tf.reduce_all(tf.math.is_finite(gradient))), weight.path
            if not weight.path.endswith(self.no_gradient):
                assert float(tf.reduce_max(tf.abs(gradient))) > 0, weight.path

    def test_mixed_precision_ends_in_float32(self):
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        try:
            model = self.make(input_shape=(None, None, 3), classes=7)
            y = model(image(1, self.small, self.small, 3))
        finally:
            keras.config.set_dtype_policy(policy)
        assert y.dtype == "float32"
        assert {layer.compute_dtype for layer in model.layers[1:-1]} == {"float16"}
        np.testing.assert_allclose(np.sum(y, axis=-1), 1, rtol=1e-3)


if __name__ == "__main__":
    # python tests/helpers/network_checks.py NAME ... writes the layer names of these networks anew.
    for each in sys.argv[1:]:
        write_layer_names(each)
