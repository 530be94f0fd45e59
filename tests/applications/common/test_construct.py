"""What every constructor does with the arguments of `Common`, on a network of one convolution."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.layer_contract import assert_close
from helpers.network_checks import image, layer_names
from keras_attn.applications import pyramid_outputs
from keras_attn.applications.common.construction import OF_CIFAR10, construct, level
from keras_attn.applications.common.network import CONSTRUCTORS, Common, network
from keras_attn.applications.common.preprocessing import CIFAR


@network(OF_CIFAR10)
def Tiny(depth: int = 8, **common):
    """A convolution between two levels.

    Args:
        depth: Its filters.
        **common: See `Common`.
    """

    def body(x):
        x = keras.layers.Conv2D(depth, 3, padding="same", activation="relu", name="conv")(x)
        x = level(x, 0)
        return level(keras.layers.AveragePooling2D(2, name="pool")(x), 1)

    return construct(body, OF_CIFAR10, "tiny", **common)


del CONSTRUCTORS["Tiny"]  # other tests in this process look at all networks


def test_the_default():
    model = Tiny()
    assert model.name == "tiny" and Tiny(name="mine").name == "mine"
    assert (model.input_shape, model.output_shape) == ((None, 32, 32, 3), (None, 10))
    assert layer_names(model) == ["conv", "P0", "pool", "P1", "avg_pool", "predictions"]
    assert model.layers[-1].activation is keras.activations.softmax
    np.testing.assert_allclose(np.sum(model(image(3, 32, 32, 3)), axis=-1), 1, rtol=1e-5)
    assert Tiny(classifier_activation=None).layers[-1].activation is keras.activations.linear
    assert Tiny(classes=7).output_shape == (None, 7)


def test_sizes():
    assert Tiny(include_top=False).output_shape == (None, None, None, 8)
    model = Tiny(input_shape=(None, None, 3))
    for size in ((32, 32), (17, 40), (8, 9)):
        assert model(image(1, *size, 3)).shape == (1, 10)


@pytest.mark.filterwarnings("ignore:This model usually expects 1 or 3 input channels")
@pytest.mark.parametrize("channels", [1, 4])
def test_channels(channels):
    model = Tiny(include_top=False, input_shape=(None, None, channels))
    assert model.input_shape[-1] == channels and model.output_shape == (None, None, None, 8)


def test_unusual_channels_warn():
    with pytest.warns(UserWarning, match="This model usually expects 1 or 3 input channels"):
        Tiny(input_shape=(32, 32, 5))


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_pooling(pooling):
    features = Tiny(include_top=False)
    model = Tiny(include_top=False, pooling=pooling)
    model.set_weights(features.get_weights())
    x = image(1, 16, 24, 3)
    reduce = np.mean if pooling == "avg" else np.max
    assert_close(model(x).numpy(), reduce(features(x).numpy(), axis=(1, 2)))


def test_dropout():
    """It stands before the classifier alone."""

    def body(x):
        return level(x, 0)

    model = construct(body, OF_CIFAR10, "dropping", 0.25)
    assert model.get_layer("dropout").rate == 0.25
    assert "dropout" not in layer_names(
        construct(body, OF_CIFAR10, "dropping", 0.25, include_top=False)
    )


def test_a_symbolic_tensor():
    image_input = keras.Input((32, 32, 5))
    x = keras.layers.Conv2D(3, 1, name="own")(image_input)
    model = Tiny(input_tensor=x, classes=7, include_preprocessing=True)
    assert model.inputs[0] is image_input
    assert layer_names(model)[:3] == ["own", "normalization", "conv"]
    assert model(image(1, 32, 32, 5)).shape == (1, 7)


def test_a_tensor_of_several_inputs(tmp_path):
    inputs = [keras.Input((8, 8, 3), name=name) for name in "ab"]
    x = keras.layers.Add()(inputs)
    path = tmp_path / "a.weights.h5"
    plain = Tiny(input_shape=(8, 8, 3))
    plain.save_weights(path)
    model = Tiny(input_tensor=x, weights=path)
    assert len(model.inputs) == 2
    x = image(1, 8, 8, 3)
    assert_close(model([x, 0 * x]).numpy(), plain(x).numpy(), 1e-6)


def test_serialization(tmp_path):
    model = Tiny(5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert len(again.weights) == len(model.weights)
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    x = image(2, 32, 32, 3)
    assert_close(Tiny(5, weights=path)(x).numpy(), model(x).numpy(), 1e-6)


def test_mixed_precision_ends_in_float32():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = Tiny()
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.get_layer("conv").compute_dtype == "float16"
    assert model.get_layer("predictions").compute_dtype == "float32"


def test_pyramid():
    model = Tiny(include_top=False)
    levels = pyramid_outputs(model)
    assert list(levels) == ["P0", "P1"]
    maps = keras.Model(model.input, levels)(image(1, 32, 24, 3))
    assert [y.shape[1:3] for y in maps.values()] == [(32, 24), (16, 12)]
    chosen = Tiny(include_top=False, pyramid_outputs=["P1"])
    assert list(chosen.output) == ["P1"]
    assert list(Tiny(include_top=False, pyramid_outputs=True).output) == list(levels)


def test_pyramid_of_another_model():
    with pytest.raises(ValueError, match="`model` must be a network of keras_attn.applications"):
        pyramid_outputs(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="P3")]))


def test_preprocessing_inside_and_outside_agree():
    inside, outside = Tiny(include_preprocessing=True), Tiny()
    outside.set_weights(inside.get_weights()[-len(outside.weights) :])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    kept = pixels.copy()
    expected = inside(pixels).numpy()
    assert_close(outside(CIFAR.preprocess_input(pixels)).numpy(), expected, tolerance=1e-4)
    np.testing.assert_array_equal(pixels, kept)
    as_tensor = CIFAR.preprocess_input(tf.constant(pixels))
    assert_close(as_tensor.numpy(), CIFAR.preprocess_input(pixels), 1e-6)
    first = CIFAR.preprocess_input(pixels.transpose(0, 3, 1, 2), data_format="channels_first")
    assert_close(first.transpose(0, 2, 3, 1), CIFAR.preprocess_input(pixels), 1e-6)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"weights": "imagenet"}, "The `weights` argument should be either `None`"),
        ({"weights": "nowhere.weights.h5"}, "or the path to the weights file to be loaded"),
        ({"pooling": "mean"}, "`pooling` must be one of None, 'avg', 'max'. Received: pooling='m"),
        ({"classes": 0}, "`classes` must be a positive integer. Received: classes=0"),
        ({"classes": 2.5}, "`classes` must be a positive integer. Received: classes=2.5"),
        ({"classes": True}, "`classes` must be a positive integer. Received: classes=True"),
        ({"input_shape": (32, 32)}, "`input_shape` must be a tuple of three integers."),
        ({"input_shape": (7, 32, 3)}, "Input size must be at least 8x8; Received: input_shape="),
        ({"input_shape": (32, 32, None)}, "`input_shape` must say the number of channels"),
        ({"pyramid_outputs": True}, "`pyramid_outputs` needs `include_top=False`"),
        (
            {"pyramid_outputs": ["P7"], "include_top": False},
            "`pyramid_outputs` must be a boolean or hold some of P0, P1",
        ),
        (
            {"pyramid_outputs": "P1", "include_top": False},
            "`pyramid_outputs` must be a boolean or hold some of P0, P1",
        ),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        Tiny(**kwargs)
    assert message in str(error.value)


def test_only_softmax_with_weights(tmp_path):
    path = tmp_path / "a.weights.h5"
    Tiny().save_weights(path)
    with pytest.raises(ValueError, match="Only `None` and `softmax` activations are allowed"):
        Tiny(weights=path, classifier_activation="sigmoid")


def test_weights_that_were_not_chosen_are_refused():
    """Else a network of random weights would come, in silence."""
    with pytest.raises(TypeError, match="`weights` must have been chosen by now"):
        construct(lambda x: level(x, 0), OF_CIFAR10, "mine", weights="imagenet")


def test_other_arguments():
    with pytest.raises(TypeError, match=r"Tiny\(\) got an unexpected keyword argument 'ratio'"):
        Tiny(ratio=3)


def test_common_is_what_construct_takes():
    own = inspect.signature(construct).parameters.values()
    assert [p.name for p in own if p.kind is p.KEYWORD_ONLY] == list(Common.__annotations__)
    for name in Common.__annotations__:
        assert f"\n    {name}: " in Tiny.__doc__
    assert "**common" not in Tiny.__doc__


def test_a_network_without_its_top_has_its_pyramid(tmp_path):
    """The same maps as of the function; of a file, a config and a clone, too."""
    model = Tiny(include_top=False)
    model.save(tmp_path / "tiny.keras")
    copies = [
        keras.models.load_model(tmp_path / "tiny.keras"),
        type(model).from_config(model.get_config()),
        keras.models.clone_model(model),
        Tiny(include_top=False, pyramid_outputs=["P1"]),
    ]
    for each in (model, *copies):
        found = each.pyramid_outputs
        assert {name: x.shape for name, x in found.items()} == {
            name: x.shape for name, x in pyramid_outputs(model).items()
        }
        assert list(found) == ["P0", "P1"]
        keras.Model(each.inputs, found)
    assert not hasattr(Tiny(), "pyramid_outputs")
