"""The page at `/`, in a real browser: a person tries images, and sees classes and attention."""

from __future__ import annotations

import ast
import base64
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

import PIL.Image
import pytest
import tensorflow as tf

from helpers import serving_models
from keras_attn.export.samples import read_samples, write_samples
from keras_attn.serving import ServerOptions, start_server

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"
CARD = f"""# images

What it takes, and `code`:

- one {HOSTILE}

| name | takes |
|---|---|
| `serve_bytes` | {HOSTILE} |
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    images = serving_models.save_images(folder / "images" / "1")
    (images / "assets" / "model_card.md").write_text(CARD)
    samples = tmp_path_factory.mktemp("samples")
    half(samples / "half.png")
    write_samples(images, read_samples(samples))
    serving_models.save_doubler(folder / "doubler" / "1")
    module = serving_models.Images()
    for name in ("serve_bytes", "serve_uint8"):
        tf.saved_model.save(
            module,
            str(folder / name / "1"),
            {"serving_default": module.serving_default, name: getattr(module, name)},
        )
    labels = folder / "serve_uint8" / "1" / "assets" / "labels.txt"
    labels.write_text(f"ant\nbee\n{HOSTILE}\n")
    lines = [
        f'config {{ name: "{name}" base_path: "{folder}/{name}" model_platform: "tensorflow" }}'
        for name in ("images", "serve_bytes", "serve_uint8", "doubler")
    ]
    config = folder / "models.config"
    config.write_text(f"model_config_list {{ {' '.join(lines)} }}")
    with start_server(model_config_file=config, grpc_port=None) as running:
        yield running


@pytest.fixture
def page(browser, server):
    browser.look(1280, 1000)
    browser.requested.clear()
    browser.open(server.url + "/")
    browser.wait("document.querySelectorAll('#samples button').length === 1")
    yield browser
    assert browser.errors == []
    ours = (server.url, "blob:", "data:image/png;base64,")
    assert [url for url in browser.requested if not url.startswith(ours)] == []


def half(path):
    """White left, black right: the attention of the model is brightness."""
    image = PIL.Image.new("RGB", (80, 60))
    image.paste((255, 255, 255), (0, 0, 40, 60))
    image.save(path)
    return path


@pytest.fixture
def picture(tmp_path):
    return half(tmp_path / "half.png")


def text(page, element):
    return page.evaluate(f"document.getElementById('{element}').textContent")


def answered(page):
    page.wait("!document.getElementById('result').hidden")


def rows(page):
    return page.evaluate(
        "[...document.querySelectorAll('#classes tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )


def tiles(page, element):
    """The texts and the state of each tile."""
    return page.evaluate(
        f"[...document.querySelectorAll('#{element} button')].map(b => "
        "[...[...b.querySelectorAll('span')].map(s => s.textContent), b.ariaPressed])"
    )


def pixel(page, x, y, canvas="overlay"):
    """Of a canvas, at shares of its width and height."""
    return page.evaluate(
        f"(() => {{ const c = document.getElementById('{canvas}');"
        f"const x = {x} * c.width, y = {y} * c.height;"
        "return [...c.getContext('2d').getImageData(x, y, 1, 1).data] })()"
    )


def select(page, element, value):
    page.evaluate(
        f"(() => {{ const e = document.getElementById('{element}'); e.value = {json.dumps(value)};"
        "e.dispatchEvent(new Event('change')); e.dispatchEvent(new Event('input')); })()"
    )


def click(page, selector):
    page.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def expected(server, model, signature, picture):
    """The rows of the table, by a request."""
    data = {"b64": base64.b64encode(pathlib.Path(picture).read_bytes()).decode()}
    body = json.dumps({"signature_name": signature, "instances": [data]}).encode()
    with urllib.request.urlopen(f"{server.url}/v1/models/{model}:predict", body) as reply:
        (answer,) = json.load(reply)["predictions"]
    return as_rows(answer)


def as_rows(answer):
    return [
        [label, f"{100 * score:.1f} %"]
        for label, score in zip(answer["labels"], answer["scores"], strict=True)
    ]


def test_a_dropped_image(page, server, picture):
    page.drop(picture, 160, 160)
    answered(page)
    assert rows(page) == expected(server, "images", "serve_attention", picture)
    label, score = rows(page)[0]
    assert text(page, "message").startswith(f"half.png: {label}, {score}, in ")
    assert text(page, "latency").startswith("The answer began after ")
    assert tiles(page, "tray") == [["half.png", label, "true"]]
    assert text(page, "layer-name") == "attention/stage2"  # the last with places
    assert text(page, "layer-subtitle") == "attention 4x4"
    select(page, "layer", "0")
    assert text(page, "layer-subtitle") == "attention 8x8"
    seen = page.evaluate("document.getElementById('overlay').ariaLabel")
    assert seen.startswith(
        "The attention over the picture. attention/stage1: attention 8x8, from 0 to 1. "
    )

    select(page, "opacity", "100")
    assert pixel(page, 0.1, 0.5)[:3] == [250, 226, 70]  # yellow where the map is high
    assert pixel(page, 0.9, 0.5)[:3] == [26, 28, 84]  # blue where it is low
    select(page, "opacity", "0")
    assert pixel(page, 0.1, 0.5)[:3] == [255, 255, 255]
    assert pixel(page, 0.9, 0.5)[:3] == [0, 0, 0]
    select(page, "layer", "1")
    assert text(page, "layer-subtitle") == "attention 4x4"


def test_several_images_at_once(page, server, picture, tmp_path):
    paths = [picture]
    for name, level in (("black.png", 0), ("red.png", 200)):
        PIL.Image.new("RGB", (9, 7), (level, 0, 0)).save(tmp_path / name)
        paths.append(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    page.choose("#file", *paths, tmp_path / "notes.txt")
    page.wait("document.querySelector('#tray li:last-child').textContent.endsWith('no answer')")
    best = [expected(server, "images", "serve_attention", path)[0][0] for path in paths]
    shown = tiles(page, "tray")
    names = [path.name for path in paths]
    assert [tile[:2] for tile in shown] == [
        *map(list, zip(names, best, strict=True)),
        ["notes.txt", "no answer"],
    ]
    assert [tile[2] for tile in shown] == ["true", "false", "false", "false"]
    assert text(page, "message").endswith("(3 of 4 pictures answered)")
    assert "Median of 3 pictures: " in text(page, "latency")

    click(page, "#tray li:nth-child(3) button")
    assert rows(page) == expected(server, "images", "serve_attention", paths[2])
    assert pixel(page, 0.5, 0.5, "image")[:3] == [200, 0, 0]
    click(page, "#tray li:nth-child(4) button")
    assert text(page, "message").startswith("notes.txt: Unknown image file")
    assert page.evaluate("document.getElementById('result').hidden") is True
    click(page, "#clear")
    assert tiles(page, "tray") == []
    assert text(page, "message") == "Choose a picture to begin."


def test_a_sample_that_came_with_the_export(page, server, tmp_path):
    assert tiles(page, "samples") == [["half", None]]
    page.wait("document.querySelector('#samples img').naturalWidth === 80")
    click(page, "#samples button")
    answered(page)
    with urllib.request.urlopen(
        f"{server.url}/models/images/versions/1/samples/00_half.jpg"
    ) as reply:
        (tmp_path / "sample.jpg").write_bytes(reply.read())
    assert rows(page) == expected(server, "images", "serve_attention", tmp_path / "sample.jpg")
    assert page.evaluate("document.getElementById('needs').hidden") is True
    check_lines(page, tmp_path)


def check_lines(page, folder):
    """curl's and Python's lines, copied and run, give what the page shows."""
    for answer in run_lines(page, folder):
        assert as_rows(answer) == rows(page)


def run_lines(page, folder):
    """The answers to curl's line and to Python's."""
    curl, python = text(page, "curl"), text(page, "python")
    assert "\n" not in curl + python
    printed = [
        subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
        for command in (["bash", "-c", curl], [sys.executable, "-c", python])
    ]
    return json.loads(printed[0])["predictions"][0], ast.literal_eval(printed[1])


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["plain.png", '-it\'s a "$(x)" \\ `picture`é.png'])
def test_the_lines_to_copy(page, tmp_path, name):
    half(tmp_path / name)
    page.choose("#file", tmp_path / name)
    answered(page)
    assert text(page, "save") == f"save {name}"
    check_lines(page, tmp_path)


def test_a_line_is_copied(page, server, picture):
    page.send("Browser.grantPermissions", origin=server.url, permissions=["clipboardReadWrite"])
    page.choose("#file", picture)
    answered(page)
    click(page, "[data-copies=curl]")
    page.wait("document.querySelector('[data-copies=curl]').textContent !== 'Copy curl'")
    assert page.evaluate("document.querySelector('[data-copies=curl]').textContent") == "Copied"
    assert page.evaluate("navigator.clipboard.readText()") == text(page, "curl")


def test_the_camera(page):
    click(page, "#camera")
    page.wait("document.getElementById('video').videoWidth > 0")
    assert page.evaluate("document.getElementById('camera').ariaExpanded") == "true"
    assert page.evaluate("document.activeElement.id") == "shoot"
    click(page, "#shoot")
    answered(page)
    click(page, "#shoot")
    page.wait("document.querySelectorAll('#tray li').length === 2")
    page.wait("document.querySelector('#tray li:last-child').textContent.at(-1) !== '…'")
    assert [tile[0] for tile in tiles(page, "tray")] == ["camera-1.jpg", "camera-2.jpg"]
    assert text(page, "save") == "save camera-2.jpg"
    click(page, "#close-camera")
    assert page.evaluate("document.getElementById('viewfinder').hidden") is True
    assert page.evaluate("document.getElementById('video').srcObject") is None
    assert page.evaluate("document.activeElement.id") == "camera"


def test_without_attention(page, server, picture):
    select(page, "model", "serve_bytes")
    page.choose("#file", picture)
    answered(page)
    assert rows(page) == expected(server, "serve_bytes", "serve_bytes", picture)
    for part in ("overlay-panel", "attention-panel", "layer-part", "head-part", "opacity-part"):
        assert page.evaluate(f"document.getElementById('{part}').hidden") is True
    assert pixel(page, 0.1, 0.5, "image")[:3] == [255, 255, 255]


def test_without_bytes(page, server, picture, tmp_path):
    select(page, "model", "serve_uint8")
    page.choose("#file", picture)
    answered(page)
    assert sorted(label for label, _ in rows(page)) == [HOSTILE, "ant", "bee"]
    assert text(page, "save") == "save request.json"
    page.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    click(page, "#save")
    wait_for(lambda: (tmp_path / "request.json").is_file())
    curl, python = run_lines(page, tmp_path)
    assert curl == python
    shares = sorted(curl["probabilities"], reverse=True)
    assert [score for _, score in rows(page)] == [f"{100 * share:.1f} %" for share in shares]


def test_another_version_that_has_come(browser, picture, tmp_path):
    serving_models.save_images(tmp_path / "net" / "1")
    options = ServerOptions(file_system_poll_wait_seconds=0.1)
    with start_server(tmp_path / "net", grpc_port=None, options=options) as server:
        browser.open(server.url + "/")
        browser.wait("document.getElementById('version').textContent === 'version 1'")
        serving_models.save_images(tmp_path / "2", scale=2.0).rename(tmp_path / "net" / "2")
        wait_for(lambda: states(server, "net") == {"1": "END", "2": "AVAILABLE"})
        browser.choose("#file", picture)
        answered(browser)
        assert text(browser, "version") == "version 2"
        assert rows(browser) == expected(server, "net", "serve_attention", picture)
    assert browser.errors == []


def states(server, model):
    with urllib.request.urlopen(f"{server.url}/v1/models/{model}") as reply:
        found = json.load(reply)["model_version_status"]
    return {one["version"]: one["state"] for one in found}


def test_strings_of_a_model_are_text(page, picture):
    cells = page.evaluate(
        "[...document.querySelectorAll('#card :is(h3, p, li, th, td, code)')]"
        ".map(e => e.textContent)"
    )
    assert cells == [
        "images", "What it takes, and code:", "code", f"one {HOSTILE}", "name", "takes",
        "serve_bytes", "serve_bytes", HOSTILE,
    ]  # fmt: skip
    assert page.evaluate("document.querySelectorAll('#card img').length") == 0
    facts = page.evaluate("[...document.querySelectorAll('#facts > *')].map(e => e.textContent)")
    assert facts == [
        "Name", "images", "Version", "1", "Signature", "serve_attention",
        "Input", "image_bytes, DT_STRING, (any)",
    ]  # fmt: skip
    assert text(page, "version") == "version 1"


def test_what_goes_wrong_is_said(page, server, picture, tmp_path):
    select(page, "model", "doubler")
    page.choose("#file", picture)
    page.wait("document.getElementById('message').className === 'error'")
    assert "This model has no signature that takes a picture" in text(page, "message")
    assert page.evaluate("document.getElementById('result').hidden") is True

    select(page, "model", "images")  # asks again with the same picture
    answered(page)
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:40])
    page.drop(broken, 160, 160)
    page.wait("document.getElementById('message').className === 'error'")
    assert page.evaluate("document.getElementById('result').hidden") is True
    other = tmp_path / "<b>text.txt"
    other.write_text("no picture")
    page.drop(other, 160, 160)
    page.wait(
        "document.getElementById('message').textContent.startsWith('<b>text.txt: Unknown image')"
    )


def test_the_policy_holds(page):
    """What a string of a model could try, if it ever got so far."""
    blocked = page.evaluate(
        """(async () => {
          const seen = new Set();
          document.addEventListener('securitypolicyviolation', e => seen.add(e.effectiveDirective));
          const tries = [
            () => { document.body.innerHTML = '<b>x</b>'; },
            () => eval('1'),
            () => { document.createElement('script').text = 'x = 1'; },
          ];
          let refused = 0;
          for (const one of tries) try { one(); } catch { refused++; }
          document.body.setAttribute('style', 'color: red');
          new Image().src = 'http://127.0.0.2:9/x.png';
          await fetch('http://127.0.0.2:9/').catch(() => refused++);
          await new Promise(done => setTimeout(done, 300));
          return [refused, [...seen].sort()];
        })()"""
    )
    page.requested.clear()  # the two that were blocked
    assert blocked[0] == 4
    assert {"connect-src", "img-src", "require-trusted-types-for", "style-src-attr"} <= set(
        blocked[1]
    )


def test_by_keyboard(page):
    """From the top: each control in turn, an image asked about, and the sliders moved."""
    seen = []
    while "samples" not in seen:
        page.press("Tab", 9)
        seen.append(
            page.evaluate("document.activeElement.id || document.activeElement.closest('[id]').id")
        )
        assert len(seen) < 10, seen
    assert seen == ["model", "file", "camera", "samples"]
    page.press("Enter", 13)
    answered(page)
    after = []
    while "opacity" not in after:
        page.press("Tab", 9)
        after.append(
            page.evaluate("document.activeElement.id || document.activeElement.closest('[id]').id")
        )
        assert len(after) < 10, after
        if after[-1] == "layer":
            page.press("ArrowLeft", 37)
    assert after == ["clear", "tray", "layer", "opacity"]
    assert text(page, "layer-name") == "attention/stage1"
    assert page.evaluate("document.getElementById('layer').ariaValueText") == "attention/stage1"
    page.press("ArrowLeft", 37)
    assert text(page, "opacity-name") == "55 %"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_by_screen_reader(page, picture):
    """Each control and each picture has a role and a name; what happens is announced."""
    page.choose("#file", picture)
    answered(page)
    nodes = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in page.send("Accessibility.getFullAXTree")["nodes"]
        if not node["ignored"]
    ]
    controls = {"button", "slider", "combobox", "link", "image", "img", "canvas", "region", "table"}
    named = [node for node in nodes if node[0] in controls]
    assert len(named) > 15
    assert [node for node in named if not node[1]] == []
    for role, name in (
        ("combobox", "Model"),
        ("button", "Choose files"),
        ("button", "Camera"),
        ("slider", "Layer"),
        ("slider", "Colours"),
        ("table", "Classes"),
        ("heading", "About this model"),
    ):
        assert (role, name) in nodes, (role, name, named)
    assert any(role == "status" for role, _ in nodes)


CONTRAST = """(() => {
  const values = color => color.match(/[\\d.]+/g).map(Number);
  const light = color => {
    const [r, g, b] = values(color).map(v => v / 255)
      .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = e => {
    for (; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (values(color)[3] !== 0) return color;
    }
  };
  const low = [];
  let count = 0;
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility()) continue;
    count++;
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) low.push([e.tagName, e.id, ratio]);
  }
  return [count, low];
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_on_a_phone_and_in_the_dark(page, picture, width, scheme):
    """Nothing is cut off, controls are large enough for fingers, and text has contrast."""
    page.look(width, 800, scheme)
    page.choose("#file", picture)
    answered(page)
    click(page, "summary")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, .button, input[type=range], summary')]"
        ".filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 44)"
        ".map(e => e.id || e.textContent)"
    )
    assert small == []
    count, low = page.evaluate(CONTRAST)
    assert count > 30
    assert low == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert dark is (scheme == "dark")
