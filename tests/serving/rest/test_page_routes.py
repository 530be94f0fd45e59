"""What the page consists of and asks for, without a browser."""

from __future__ import annotations

import importlib.resources
import json
import os
import shutil
import urllib.error
import urllib.request

import pytest

from helpers import serving_models
from keras_attn.export.samples import SAMPLES_FOLDER
from keras_attn.export.saved_model import CARD_FILE, LABELS_FILE, REPORT_FILE
from keras_attn.serving import ServerOptions, start_server
from keras_attn.serving.rest.page import description

STATIC = importlib.resources.files("keras_attn.serving.rest.page").joinpath("static")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A version with all that an export says of itself, and with what shouldn't be given away."""
    folder = tmp_path_factory.mktemp("models") / "doubler" / "3"
    serving_models.save_doubler(folder)
    (folder / "assets" / CARD_FILE).write_text("# A card\n")
    (folder / "assets" / LABELS_FILE).write_text("one\ntwo\n")
    samples = folder / SAMPLES_FOLDER
    samples.mkdir(parents=True)
    report = {"preprocessing": {"size": [8, 8]}, "attention": {"b": "map", "a": "mask"}}
    (folder / REPORT_FILE).write_text(json.dumps(report))
    (samples / "00_a_red_flower.jpg").write_bytes(serving_models.picture(format="JPEG"))
    (samples / "01.jpg").write_bytes(b"second")
    (samples / "notes.txt").write_text("not a picture")
    os.symlink("/etc/hostname", samples / "02_link.jpg")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with start_server(folder.parent, grpc_port=None) as running:
        yield running


def get(server, path):
    """Status, headers and body."""
    try:
        with urllib.request.urlopen(server.url + path) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_each_file_comes_with_the_policy(server):
    kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
    kinds[".svg"] = "image/svg+xml"
    files = sorted(file.name for file in STATIC.iterdir())
    assert "page.html" in files
    for name in files:
        status, headers, body = get(server, "/" if name == "page.html" else f"/page/{name}")
        assert (status, body) == (200, STATIC.joinpath(name).read_bytes())
        assert headers["Content-Type"].startswith(kinds["." + name.rpartition(".")[2]])
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = dict(
            part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
        )
        assert policy == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self' blob:",
            "connect-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
            "require-trusted-types-for": "'script'",
            "trusted-types": "'none'",
        }
        text = body.decode()
        assert "innerHTML" not in text  # labels and errors are text
        assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert get(server, "/page/page.html")[0] == get(server, "/page/routes.py")[0] == 404


def test_what_an_export_says_of_itself(server):
    assert json.loads(get(server, "/models")[2]) == {"models": ["doubler"]}
    status, _, body = get(server, "/models/doubler")
    assert status == 200
    found = json.loads(body)
    assert list(found["attention"]) == ["b", "a"]  # in the network's order
    assert found == {
        "name": "doubler",
        "version": 3,
        "card": "# A card\n",
        "class_names": ["one", "two"],
        "preprocessing": {"size": [8, 8]},
        "attention": {"b": "map", "a": "mask"},
        "samples": [
            {
                "name": "a red flower",
                "url": "models/doubler/versions/3/samples/00_a_red_flower.jpg",
            },
            {"name": "sample 01", "url": "models/doubler/versions/3/samples/01.jpg"},
        ],
    }
    status, headers, body = get(server, "/" + found["samples"][0]["url"])
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert body == serving_models.picture(format="JPEG")


@pytest.mark.parametrize(
    "path",
    [
        "/models/",
        "/models/other",
        "/models/doubler/",
        "/models/doubler/versions/3",
        "/models/doubler/versions/4/samples/01.jpg",
        "/models/doubler/versions/99999999999999999999/samples/01.jpg",
        "/models/doubler/versions/3/samples/",
        "/models/doubler/versions/3/samples/notes.txt",
        "/models/doubler/versions/3/samples/02_link.jpg",
        "/models/doubler/versions/3/samples/..%2f..%2fsaved_model.pb",
        "/models/doubler/versions/3/samples/../export_report.json",
        "/models/doubler/versions/3/samples/%2fetc%2fhostname",
        "/models/doubler/versions/3/samples/01.jpg%00",
    ],
)
def test_nothing_else_is_given(server, path):
    status, _, body = get(server, path)
    assert status == 404
    assert json.loads(body)["error"]


def test_an_export_that_says_nothing_or_nonsense(server, folder, tmp_path):
    bare = tmp_path / "net" / "1"
    serving_models.save_doubler(bare)
    with start_server(bare.parent, grpc_port=None, options=ServerOptions()) as running:

        def told():
            return json.loads(get(running, "/models/net")[2])

        nothing = dict.fromkeys(("card", "class_names", "preprocessing", "attention"))
        assert told() == {"name": "net", "version": 1, "samples": [], **nothing}
        shutil.copytree(folder / "assets.extra", bare / "assets.extra", symlinks=True)
        for text in ("no JSON", "[1]", '{"attention": ["mask"], "preprocessing": 5}'):
            (bare / REPORT_FILE).write_text(text)
            assert told()["attention"] is told()["preprocessing"] is None
        card = bare / "assets" / CARD_FILE
        card.write_bytes(b"\xff" * 4)
        assert told()["card"] == "\ufffd" * 4
        card.write_bytes(b"x" * (description.MAX_BYTES + 1))
        assert told()["card"] is None
        assert len(told()["samples"]) == 2


def test_without_the_page(folder):
    with start_server(folder.parent, grpc_port=None, options=ServerOptions(page=False)) as running:
        for path in ("/", "/page/page.js", "/models", "/models/doubler"):
            assert get(running, path)[0] == 404
