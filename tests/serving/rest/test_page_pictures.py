"""The page draws what `keras_attn.explain` draws: each form of attention, in a real browser."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_attn
from helpers.pages.served import canvas, check_alike, served, slide
from keras_attn.explain import attention_maps, blend, heat_maps
from keras_attn.explain.attention import channel_gates
from keras_attn.explain.drawing.pictures import panel_of
from keras_attn.explain.drawing.sheet import bars_panel, boxes_panel, plain_panel
from keras_attn.explain.scale import GATE, WIDE_GATE

pytestmark = pytest.mark.browser

SIZE = (13, 17)
PANEL = (13 * 17, 17 * 17)  # 17 times: the longer side has at least 288 pixels


def network():
    image = keras.Input((*SIZE, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(6, 3, padding="same")(x)
    x = keras_attn.layers.SqueezeExcite(ratio=2, name="gate")(x)
    x = keras_attn.layers.SelectiveKernel(6, name="branches")(x)
    x = keras_attn.layers.SelfAttention2D(key_depth=4, value_depth=6, num_heads=2, name="looks")(x)
    x = keras_attn.layers.CoordinateAttention(ratio=2, name="mask")(x)
    x = keras_attn.layers.SpatialGate(name="place")(x)
    x = keras.layers.Conv2D(400, 1, name="wide")(x)  # more channels than a panel has pixels
    x = keras_attn.layers.SqueezeExcite(ratio=2, name="many")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3, "softmax")(x), name="net")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(5)
    model = network()
    generator = np.random.default_rng(5)
    for weight in model.weights:  # so that the attention differs from place to place
        if "variance" not in weight.path and "seed" not in weight.path:
            weight.assign(weight + generator.normal(0, 0.3, weight.shape))
    return model


@pytest.fixture(scope="module")
def pixels():
    """Smooth, with edges."""
    rows, columns = np.mgrid[0:13, 0:17]
    image = np.stack([15 * columns, 19 * rows, 255 * ((rows - 6) ** 2 + (columns - 9) ** 2 < 20)])
    return image.transpose(1, 2, 0).clip(0, 255).astype("uint8")


@pytest.fixture(scope="module")
def page(browser, model, pixels, tmp_path_factory):
    with served(browser, model, pixels, tmp_path_factory.mktemp("exported")) as page:
        yield page


def show(page, layer):
    for number in range(6):
        slide(page, "layer", number)
        if page.evaluate("document.getElementById('layer-name').textContent") == layer:
            return
    pytest.fail(f"the slider has no {layer}")


def check_places(page, model, pixels, layer, *, head=None, opacity=0.6):
    shown = heat_maps(model, pixels[None], "attention", layer=layer, head=head).shown[0]
    check_alike(canvas(page, "attention"), plain_panel(pixels, shown))
    over = blend(pixels, shown, opacity=opacity, scale=(0, 1))
    check_alike(canvas(page, "overlay"), over)


def test_what_is_shown_first(page, model, pixels):
    assert page.evaluate("document.getElementById('layer').max") == "5"
    assert page.evaluate("document.getElementById('layer-title').textContent") == "place"
    np.testing.assert_array_equal(canvas(page, "image"), panel_of(pixels))
    assert heat_maps(model, pixels[None]).layer == "place"
    check_places(page, model, pixels, "place")


@pytest.mark.parametrize("layer", ["looks", "place", "mask"])
def test_attention_of_places(page, model, pixels, layer):
    show(page, layer)
    check_places(page, model, pixels, layer)


@pytest.mark.parametrize("layer", ["gate", "branches", "many"])
def test_gates_of_channels(page, model, pixels, layer):
    show(page, layer)
    gates = channel_gates(model, pixels[None], layer)
    scale = GATE if gates.max() <= 1 else WIDE_GATE
    check_alike(canvas(page, "attention"), bars_panel(pixels, scale.of(gates)[0]))
    for part in ("overlay-panel", "opacity-part", "head-part"):
        assert page.evaluate(f"document.getElementById('{part}').hidden") is True


@pytest.mark.parametrize("head", [1, 2])
def test_one_head_and_another_strength(page, model, pixels, head):
    show(page, "looks")
    assert page.evaluate("document.getElementById('head').max") == "2"
    slide(page, "head", head)
    slide(page, "opacity", 35)
    subtitle = page.evaluate("document.getElementById('layer-subtitle').textContent")
    assert subtitle == f"self-attention 13x17, received by each place, head {head} of 2"
    check_places(page, model, pixels, "looks", head=head - 1, opacity=0.35)
    slide(page, "opacity", 60)


def test_what_was_looked_at(browser, pixels, tmp_path):
    """Frames over the picture, and nothing beside it."""
    keras.utils.set_random_seed(1)
    options = {"num_glimpses": 4, "glimpse_size": 4, "num_scales": 2, "units": 16}
    model = keras_attn.applications.RecurrentAttention((*SIZE, 3), 3, **options, name="net")
    glimpses = model.get_layer("glimpses")
    glimpses.mean.kernel.assign(3 * glimpses.mean.kernel)  # places far from each other
    boxes = attention_maps(model, pixels[None], ["glimpses"])["glimpses"][0]
    assert np.ptp(boxes[:, 0, :2], axis=0).max() > 0.3
    with served(browser, model, pixels, tmp_path) as page:
        np.testing.assert_array_equal(canvas(page, "overlay"), boxes_panel(pixels, boxes))
        for part in ("attention-panel", "opacity-part", "head-part", "scale"):
            assert page.evaluate(f"document.getElementById('{part}').hidden") is True
        label = page.evaluate("document.getElementById('overlay').ariaLabel")
        assert "looked at 4 places" in label
        assert "In turn: 50 % down, 50 % across;" in label
