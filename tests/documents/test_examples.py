"""The examples of README and guides, run as they stand, each document in an empty folder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT, environment
from programs.run_document import blocks

DOCUMENTS = {
    str(path.relative_to(ROOT)): path
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    )
}
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))
SHOWN = {"text", "toml", "json", "pycon"}  # output and files: nothing that is run
# Commands that are shown and not run here: how many blocks, and why.
NOT_RUN = {
    "README.md": (1, "clones the repository"),
    "docs/index.md": (1, "clones the repository"),
    "docs/guides/production.md": (1, "starts containers"),
}


def languages(path: Path) -> list[str]:
    return [language for language, _ in blocks(path.read_text(encoding="utf-8"))]


def test_what_is_not_run_is_listed():
    shown = {name: languages(path).count("console") for name, path in DOCUMENTS.items()}
    assert {name: count for name, count in shown.items() if count} == {
        name: count for name, (count, _) in NOT_RUN.items()
    }


def test_the_readmes_examples_end_in_answers():
    """Three, each with what it prints behind it, which `run_document` compares."""
    ends = languages(DOCUMENTS["README.md"])
    assert ends == ["console", "python", "text", "bash", "text", "python", "text"]


def test_every_block_says_what_it_is():
    known = {"python", "bash", "console", *SHOWN}
    for name, path in DOCUMENTS.items():
        text = path.read_text(encoding="utf-8")
        assert set(languages(path)) <= known, name
        fences = len(re.findall(r"^ *```", text, flags=re.M))
        assert fences == 2 * len(languages(path)), f"{name} has a fence without a language"


def runs(name: str) -> bool:
    return bool({"python", "bash"} & set(languages(DOCUMENTS[name])))


@pytest.mark.docs
@pytest.mark.parametrize("name", [name for name in DOCUMENTS if runs(name)])
def test_document(name, tmp_path):
    program = ROOT / "tests/programs/run_document.py"
    done = subprocess.run(
        [sys.executable, program, DOCUMENTS[name]],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.docs
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, tmp_path, monkeypatch):
    import nbclient
    import nbformat

    for key, value in environment().items():
        monkeypatch.setenv(key, value)
    notebook = nbformat.read(path, as_version=4)
    saved = [printed(cell) for cell in notebook.cells]
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    assert [len(printed(cell)) > 0 for cell in notebook.cells] == [len(x) > 0 for x in saved]


def printed(cell):
    """What a cell gave beside stderr."""
    outputs = cell.get("outputs", ())
    return [output for output in outputs if output.get("name") != "stderr"]
