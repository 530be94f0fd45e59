"""The page at `/`, in a real browser: a person drops an image and sees classes and attention."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import urllib.request

import PIL.Image
import pytest
import tensorflow as tf

from helpers import browser as chromium
from helpers import serving_models
from keras_attn.serving import start_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    serving_models.save_images(folder / "images" / "1")
    serving_models.save_doubler(folder / "doubler" / "1")
    module = serving_models.Images()
    for name in ("serve_bytes", "serve_uint8"):
        tf.saved_model.save(
            module,
            str(folder / name / "1"),
            {"serving_default": module.serving_default, name: getattr(module, name)},
        )
    lines = [
        f'config {{ name: "{name}" base_path: "{folder}/{name}" model_platform: "tensorflow" }}'
        for name in ("images", "serve_bytes", "serve_uint8", "doubler")
    ]
    config = folder / "models.config"
    config.write_text(f"model_config_list {{ {' '.join(lines)} }}")
    with start_server(model_config_file=config, grpc_port=None) as running:
        yield running


def test_the_page_needs_nothing_from_elsewhere(server):
    with urllib.request.urlopen(server.url + "/") as reply:
        page = reply.read().decode()
        assert reply.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "://" not in page
    assert "innerHTML" not in page  # labels and errors are text
    with urllib.request.urlopen(server.url + "/models") as reply:
        models = json.load(reply)["models"]
    assert models == ["images", "serve_bytes", "serve_uint8", "doubler"]


@pytest.fixture(scope="module")
def browser():
    if chromium.PATH is None:
        pytest.fail("There is no Chromium. On Debian: apt-get install chromium")
    with chromium.Browser() as one:
        yield one


@pytest.fixture
def page(browser, server):
    browser.open(server.url + "/")
    browser.wait("document.getElementById('model').options.length === 4")
    yield browser
    assert browser.errors == []


@pytest.fixture
def picture(tmp_path):
    """White left, black right: the attention of the model is brightness."""
    path = tmp_path / "half.png"
    image = PIL.Image.new("RGB", (80, 60))
    image.paste((255, 255, 255), (0, 0, 40, 60))
    image.save(path)
    return path


def message(page):
    return page.evaluate("document.getElementById('message').textContent")


def rows(page):
    return page.evaluate(
        "[...document.querySelectorAll('#classes tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )


def pixel(page, x, y):
    """Of the canvas, at shares of its width and height."""
    return page.evaluate(
        "(() => { const c = document.getElementById('picture');"
        f"const x = {x} * c.width, y = {y} * c.height;"
        "return [...c.getContext('2d').getImageData(x, y, 1, 1).data] })()"
    )


def select(page, element, value):
    page.evaluate(
        f"(() => {{ const e = document.getElementById('{element}'); e.value = {json.dumps(value)};"
        "e.dispatchEvent(new Event('change')); e.dispatchEvent(new Event('input')); })()"
    )


def expected(server, model, signature, picture):

    data = {"b64": base64.b64encode(picture.read_bytes()).decode()}
    body = json.dumps({"signature_name": signature, "instances": [data]}).encode()
    with urllib.request.urlopen(f"{server.url}/v1/models/{model}:predict", body) as reply:
        (answer,) = json.load(reply)["predictions"]
    return [
        [label, f"{100 * score:.1f} %"]
        for label, score in zip(answer["labels"], answer["scores"], strict=True)
    ]


@pytest.mark.browser
def test_a_dropped_image(page, server, picture):
    page.drop(picture, 300, 160)
    page.wait("!document.getElementById('result').hidden")
    assert message(page).startswith("half.png: ")
    assert rows(page) == expected(server, "images", "serve_attention", picture)
    layers = page.evaluate("[...document.getElementById('layer').options].map(o => o.value)")
    assert layers == ["attention/stage1", "attention/stage2"]
    label = page.evaluate("document.getElementById('picture').getAttribute('aria-label')")
    assert label == "the picture under the attention of attention/stage2"

    select(page, "layer", "attention/stage1")
    select(page, "strength", "1")
    bright, dark = pixel(page, 0.1, 0.5), pixel(page, 0.9, 0.5)
    assert bright[0] > bright[2]  # red where the map is high
    assert dark[2] > dark[0] > 0  # blue where it is low
    select(page, "strength", "0")
    assert pixel(page, 0.1, 0.5)[:3] == [255, 255, 255]
    assert pixel(page, 0.9, 0.5)[:3] == [0, 0, 0]
    if os.environ.get("SCREENSHOT"):
        select(page, "strength", "0.6")
        page.screenshot(pathlib.Path(os.environ["SCREENSHOT"]))


@pytest.mark.browser
def test_without_attention(page, server, picture):
    select(page, "model", "serve_bytes")
    page.choose("#file", picture)
    page.wait("!document.getElementById('result').hidden")
    assert rows(page) == expected(server, "serve_bytes", "serve_bytes", picture)
    assert page.evaluate("document.getElementById('controls').hidden") is True
    assert pixel(page, 0.1, 0.5)[:3] == [255, 255, 255]


@pytest.mark.browser
def test_without_bytes(page, picture):
    select(page, "model", "serve_uint8")
    page.choose("#file", picture)
    page.wait("!document.getElementById('result').hidden")
    assert sorted(label for label, _ in rows(page)) == ["class 0", "class 1", "class 2"]


@pytest.mark.browser
def test_what_goes_wrong_is_said(page, server, picture, tmp_path):
    select(page, "model", "doubler")
    page.choose("#file", picture)
    page.wait("document.getElementById('message').className === 'error'")
    assert message(page).startswith("This model has no signature that takes a picture")
    assert page.evaluate("document.getElementById('result').hidden") is True

    select(page, "model", "images")  # asks again with the same picture
    page.wait("!document.getElementById('result').hidden")
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:40])
    page.drop(broken, 300, 160)
    page.wait("document.getElementById('message').className === 'error'")
    assert page.evaluate("document.getElementById('result').hidden") is True
    text = tmp_path / "<b>text.txt"
    text.write_text("no picture")
    page.drop(text, 300, 160)
    page.wait("document.getElementById('message').textContent.startsWith('Unknown image file')")
