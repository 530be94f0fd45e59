"""The page of an export, and what it shows, in a real browser."""

from __future__ import annotations

import base64
import contextlib
import io
import json

import numpy as np
import PIL.Image
import pytest

from keras_attn.export import export_saved_model
from keras_attn.serving import start_server

MOST, MEAN = 1, 0.001  # of 255, in any pixel and on average


@contextlib.contextmanager
def served(browser, model, pixels, folder, class_names=None, preprocessing=None):
    """The page of a model, which was asked about the pixels."""
    PIL.Image.fromarray(pixels).save(folder / "shape.png")
    with pytest.MonkeyPatch.context() as patch:
        from keras_attn.export.checks.loaders import LOADERS, SESSION

        for name in set(LOADERS) - {SESSION}:
            patch.delitem(LOADERS, name)
        export_saved_model(
            model, folder / "net", class_names=class_names, preprocessing=preprocessing
        )
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


def canvas(page, name):
    """Its pixels, exactly: as a PNG."""
    url = page.evaluate(f"document.getElementById('{name}').toDataURL('image/png')")
    with PIL.Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as picture:
        return np.asarray(picture.convert("RGB"), "int32")


def check_alike(found, expected):
    """Pixels (H, W, 3); a graph rounds otherwise than eager layers do, to the next colour."""
    assert found.shape == np.shape(expected)
    difference = np.abs(found - np.asarray(expected, "int32"))
    assert difference.max() <= MOST
    assert difference.mean() <= MEAN
