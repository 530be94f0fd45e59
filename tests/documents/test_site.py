"""The site: it builds without a warning, has its pages, and asks no other host."""

from __future__ import annotations

import csv
import inspect
import os
import re
import subprocess
import sys

import pytest

from helpers.paths import ROOT
from keras_attn import layers
from keras_attn.applications.common.names import NETWORKS
from keras_attn.cli import COMMANDS

pytestmark = pytest.mark.docs
FETCHED = re.compile(r"""<(?:script|img|iframe|link rel="(?!canonical))[^>]*"(https?://[^"]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return folder


def test_pages(site):
    public = [name for name, value in vars(layers).items() if inspect.isclass(value)]
    assert {f"{name}.html" for name in public} <= {p.name for p in (site / "layers").iterdir()}
    commands = {f"{command.__name__.rsplit('.', 1)[-1]}.html" for command in COMMANDS}
    assert commands <= {p.name for p in (site / "command-line").iterdir()}
    networks = "".join(p.read_text(encoding="utf-8") for p in (site / "networks").glob("*.html"))
    for name, network in NETWORKS.items():
        assert f"<code>{name}</code>" in networks
        assert f'.{network.constructor}"' in networks  # where its signature stands


def test_a_small_difference_is_not_shown_as_none(site):
    with open(ROOT / "benchmarks/results/kinds.csv", encoding="utf-8", newline="") as file:
        small = {row["torch"] for row in csv.DictReader(file) if "e-0" in row["torch"]}
    page = (site / "results" / "kinds.html").read_text(encoding="utf-8")
    assert small and all(f">{number}<" in page for number in small)


def test_nothing_comes_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 80
    assert FETCHED.search('<script src="https://example.org/x.js">')
    for page in pages:
        assert not FETCHED.findall(page.read_text(encoding="utf-8")), page
    for sheet in site.rglob("*.css"):
        assert "url(http" not in sheet.read_text(encoding="utf-8"), sheet
