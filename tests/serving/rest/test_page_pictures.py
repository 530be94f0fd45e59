"""The page draws what `keras_attn.explain` draws: each form of attention, in a real browser."""

from __future__ import annotations

import base64
import io
import json

import keras
import numpy as np
import PIL.Image
import pytest

import keras_attn
from keras_attn.explain import attention_maps, blend, explain
from keras_attn.explain.pictures import GAP, HEADER
from keras_attn.export import export_saved_model
from keras_attn.serving import start_server

pytestmark = pytest.mark.browser

SIZE = (13, 17)
PANEL = (13 * 17, 17 * 17)  # 17 times: the longer side has at least 288 pixels
# A graph rounds otherwise than eager layers do, and a colour may then be the next one.
MOST, MEAN = 1, 0.001  # of 255, in any pixel and on average


def network():
    image = keras.Input((*SIZE, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(6, 3, padding="same")(x)
    x = keras_attn.layers.SqueezeExcite(ratio=2, name="gate")(x)
    x = keras_attn.layers.SelectiveKernel(6, name="branches")(x)
    x = keras_attn.layers.SelfAttention2D(key_depth=4, value_depth=6, num_heads=2, name="looks")(x)
    x = keras_attn.layers.SpatialGate(name="place")(x)
    x = keras_attn.layers.CoordinateAttention(ratio=2, name="mask")(x)
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
    folder = tmp_path_factory.mktemp("exported")
    PIL.Image.fromarray(pixels).save(folder / "shape.png")
    with pytest.MonkeyPatch.context() as patch:
        from keras_attn.export.checks.loaders import LOADERS, SESSION

        for name in set(LOADERS) - {SESSION}:
            patch.delitem(LOADERS, name)
        export_saved_model(model, folder / "net")
    with start_server(folder / "net", grpc_port=None) as server:
        browser.look(1280, 1000)
        browser.open(server.url + "/")
        browser.wait("!document.getElementById('about').hidden")
        browser.choose("#file", folder / "shape.png")
        browser.wait("!document.getElementById('result').hidden")
        yield browser


def slide(page, element, value):
    page.evaluate(
        f"(() => {{ const e = document.getElementById('{element}'); e.value = {json.dumps(value)};"
        "e.dispatchEvent(new Event('input')); })()"
    )


def show(page, layer):
    for number in range(6):
        slide(page, "layer", number)
        if page.evaluate("document.getElementById('layer-name').textContent") == layer:
            return
    pytest.fail(f"the slider has no {layer}")


def canvas(page, name):
    """Its pixels, exactly: as a PNG."""
    url = page.evaluate(f"document.getElementById('{name}').toDataURL('image/png')")
    with PIL.Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as picture:
        return np.asarray(picture.convert("RGB"), "int32")


def panels(path):
    """Those of a picture that `explain` has written, in its order."""
    height, width = PANEL
    with PIL.Image.open(path) as sheet:
        pixels = np.asarray(sheet, "int32")
    lefts = range(GAP, pixels.shape[1] - width, width + GAP)
    return [pixels[HEADER : HEADER + height, left : left + width] for left in lefts]


def check_alike(found, expected):
    assert found.shape == (*PANEL, 3)
    difference = np.abs(found - np.asarray(expected, "int32"))
    assert difference.max() <= MOST
    assert difference.mean() <= MEAN


def test_what_is_shown_first_is_what_explain_draws(page, model, pixels, tmp_path):
    assert page.evaluate("document.getElementById('layer').max") == "5"
    assert page.evaluate("document.getElementById('layer-title').textContent") == "mask"
    image, attention, over = panels(explain(model, pixels, tmp_path / "default.png"))
    np.testing.assert_array_equal(canvas(page, "image"), image)
    check_alike(canvas(page, "attention"), attention)
    check_alike(canvas(page, "overlay"), over)
    assert np.ptp(over) > 100  # of a picture, and not of one colour


@pytest.mark.parametrize("layer", ["looks", "place", "mask"])
def test_attention_of_places(page, model, pixels, tmp_path, layer):
    show(page, layer)
    _, attention, over = panels(explain(model, pixels, tmp_path / "layer.png", layer))
    check_alike(canvas(page, "attention"), attention)
    check_alike(canvas(page, "overlay"), over)


@pytest.mark.parametrize("layer", ["gate", "branches", "many"])
def test_gates_of_channels(page, model, pixels, tmp_path, layer):
    show(page, layer)
    _, channels = panels(explain(model, pixels, tmp_path / "layer.png", layer))
    check_alike(canvas(page, "attention"), channels)
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
    maps = attention_maps(model, pixels[None].astype("float32"), ["looks"])["looks"]
    heat = maps[0, head - 1].mean(0).reshape(SIZE)
    check_alike(canvas(page, "overlay"), blend(pixels, heat, opacity=0.35))
    slide(page, "opacity", 60)
