"""What every constructor and every family's module do alike, without building the networks."""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from functools import partial
from importlib import resources

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.network_checks import constructors
from keras_attn.applications import (
    MODELS,
    CIFARResNet,
    cifar,
    get_model,
    imagenet,
    preprocess_input,
)
from keras_attn.applications.common import construction
from keras_attn.applications.common.network import Common
from keras_attn.applications.common.preprocessing import IMAGENET
from keras_attn.weights import Metadata, set_metadata

VARIANTS = {"TimmResNet": "resnest14d", "VoVNet": "ese_vovnet19b_dw"}
CONSTRUCTORS = {
    each.__name__: partial(each, VARIANTS[each.__name__]) if each.__name__ in VARIANTS else each
    for each in constructors()
}
MODULES = {construct.__name__: construct.__module__ for construct in constructors()}
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("uint8")
each_constructor = pytest.mark.parametrize("name", CONSTRUCTORS)


def patch_construct(monkeypatch, construct):
    """Puts a function in the place of `construct` in every module that calls it."""
    for name, module in [*sys.modules.items()]:
        is_family = name.startswith("keras_attn.applications.") and module is not construction
        if is_family and hasattr(module, "construct"):
            monkeypatch.setattr(module, "construct", construct)


@pytest.fixture
def no_features(monkeypatch):
    """Networks have a head and a normalisation, and nothing between that would take time."""

    def construct(body, *args, **common):
        return construction.construct(lambda x: construction.level(x, 0), *args, **common)

    patch_construct(monkeypatch, construct)


@each_constructor
def test_all_common_arguments_are_handed_on(name, monkeypatch):
    """What `construct` does with them is tested in test_construct.py."""
    given = {
        "include_top": False,
        "include_preprocessing": True,
        "weights": None,
        "input_tensor": object(),
        "input_shape": (64, 64, 1),
        "pooling": "max",
        "classes": 17,
        "classifier_activation": None,
        "pyramid_outputs": ["P2"],
        "name": "mine",
    }
    assert set(given) == set(Common.__annotations__)
    calls = []
    patch_construct(monkeypatch, lambda *args, **common: calls.append((args, common)))
    CONSTRUCTORS[name](**given)
    [((_, images, *_), common)] = calls
    assert common == given
    CONSTRUCTORS[name]()
    signature = inspect.signature(CONSTRUCTORS[name])
    assert calls[-1][1] == {} and calls[-1][0][1] is images
    assert signature.parameters["classes"].default == images.classes


@pytest.mark.parametrize("name", MODELS)
def test_a_network_bears_its_name(name, monkeypatch):
    calls = []
    patch_construct(monkeypatch, lambda *args, **common: calls.append(args))
    MODELS[name]()
    [(_, _, default_name, *_)] = calls
    assert default_name == name


@each_constructor
def test_a_warning_points_at_the_caller(name):
    """It comes before what is wrong with the size, so that nothing is built."""
    make = CONSTRUCTORS[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match="Input size must be at least"):
            line = inspect.currentframe().f_lineno + 1
            make(include_top=False, input_shape=(1, 1, 5))
    [warning] = caught
    assert "usually expects 1 or 3 input channels" in str(warning.message)
    assert (warning.filename, warning.lineno) == (__file__, line)


def test_a_warning_points_at_who_asks_for_it_by_name():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match="Input size must be at least"):
            get_model("se_resnet18")(include_top=False, input_shape=(1, 1, 5))
    assert [warning.filename for warning in caught] == [__file__]


@each_constructor
@pytest.mark.parametrize("channels", [1, 3])
def test_one_normalisation_for_one_network(name, channels, no_features):
    """Inside, outside by the model, outside by its family; after its configuration's round trip."""
    make = CONSTRUCTORS[name]
    options = dict(include_top=False, input_shape=(64, 64, channels))
    outside, inside = make(**options), make(include_preprocessing=True, **options)
    pixels = PIXELS[..., :channels]
    expected = keras.ops.convert_to_numpy(inside(pixels.astype("float32")))
    clone = keras.Model.from_config(outside.get_config())
    nested = keras.Sequential([keras.Input((64, 64, channels)), outside])
    for model in (outside, clone, nested):
        assert_close(preprocess_input(pixels, model=model), expected, 1e-5)
    np.testing.assert_array_equal(preprocess_input(pixels, model=inside), pixels)
    if channels == 3:
        family = sys.modules[MODULES[name]].preprocess_input(pixels)
        assert_close(family, expected, 1e-5)


@pytest.mark.parametrize("module", sorted(set(MODULES.values())))
def test_each_family_has_keras_own_names(module):
    found = sys.modules[module]
    assert found.preprocess_input in (preprocess_input, cifar.preprocess_input)
    assert found.decode_predictions in (imagenet.decode_predictions, cifar.decode_predictions)


def test_there_are_a_thousand_classes():
    ids = [wordnet for wordnet, _ in imagenet.classes()]
    assert len(set(ids)) == 1000
    assert ids == sorted(ids)  # the order of ILSVRC 2012's labels
    assert imagenet.class_names_of_imagenet()[281] == "tabby"


def test_predictions_of_imagenet_by_name():
    preds = np.zeros((2, 1000), "float32")
    preds[0, [0, 281, 999]] = 0.1, 0.7, 0.2
    preds[1, 2] = 1
    assert imagenet.decode_predictions(preds, top=3)[0] == [
        ("n02123045", "tabby", pytest.approx(0.7)),
        ("n15075141", "toilet_tissue", pytest.approx(0.2)),
        ("n01440764", "tench", pytest.approx(0.1)),
    ]
    as_tensor = keras.ops.convert_to_tensor(preds)
    assert imagenet.decode_predictions(as_tensor, top=1)[1][0][1] == "great_white_shark"
    assert len(imagenet.decode_predictions(preds)[1]) == 5
    with pytest.raises(ValueError, match=r"\(samples, 1000\)\). Received array with shape: \(2, 9"):
        imagenet.decode_predictions(preds[:, :9])
    with pytest.raises(ValueError, match="`top` must be a positive integer. Received: top=0"):
        imagenet.decode_predictions(preds, top=0)


def test_pixels_are_normalised_and_kept():
    kept = PIXELS.copy()
    normalised = preprocess_input(PIXELS)
    np.testing.assert_array_equal(PIXELS, kept)
    expected = (PIXELS / 255 - IMAGENET.mean) / IMAGENET.std
    assert normalised.dtype == "float32"
    np.testing.assert_allclose(normalised, expected, atol=1e-5)
    as_tensor = preprocess_input(keras.ops.convert_to_tensor(PIXELS))
    assert_close(keras.ops.convert_to_numpy(as_tensor), normalised, 1e-6)


def test_channels_that_the_model_does_not_take():
    model = CIFARResNet(8, input_shape=(32, 32, 1))
    with pytest.raises(ValueError, match=r"`x` must be an RGB image or a batch of them. Received"):
        preprocess_input(PIXELS[..., :2], model=model)


def test_predictions_of_cifar_by_name():
    record = json.loads(
        (resources.files("keras_attn.weights") / "cifar10" / "se_resnet20.json").read_text()
    )
    assert cifar.CIFAR10.split() == record["class_names"]
    hundred = cifar.CIFAR100.split()
    assert len(set(hundred)) == 100 and hundred == sorted(hundred)
    assert cifar.decode_predictions(np.eye(10)[[3, 9]], top=1) == [
        [("3", "cat", 1.0)],
        [("9", "truck", 1.0)],
    ]
    assert cifar.decode_predictions(np.eye(100)[1:2], top=1) == [[("1", "aquarium_fish", 1.0)]]
    with pytest.raises(ValueError, match=r"\(samples, 10\)\). Received array with shape: \(1, 7"):
        cifar.decode_predictions(np.eye(7)[:1])


@pytest.mark.parametrize("decode", [cifar.decode_predictions, imagenet.decode_predictions])
def test_predictions_by_the_names_of_the_weights(decode, no_features):
    model = CIFARResNet(8, classes=3)
    set_metadata(model, Metadata("mine", "CIFARResNet", "here", labels=("ant", "bee", "cat")))
    preds = np.array([[0.25, 0.5, 0.25]])
    assert decode(preds, top=2, model=model) == [[("1", "bee", 0.5), ("0", "ant", 0.25)]]
    with pytest.raises(ValueError, match=r"\(samples, 3\)\). Received array with shape: \(1, 10\)"):
        decode(np.zeros((1, 10)), model=model)
    set_metadata(model, Metadata("mine", "CIFARResNet", "here"))
    assert decode(np.eye(1000)[281:282], 1, model=model) == [[("n02123045", "tabby", 1.0)]]
