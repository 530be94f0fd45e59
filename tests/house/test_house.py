"""The house: imports only go down, backends stay above the layers, packages match the tree."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from helpers.paths import ROOT

FLOORS = {
    "backend": -1,
    "layers": 0,
    "images": 0,
    "weights": 1,
    "kinds": 1,
    "insertion": 2,
    "applications": 2,
    "data": 2,
    "training": 3,
    "export": 3,
    "explain": 3,
    "finetune": 4,
    "serving": 5,
    "cost": 5,
    "cli": 7,
    "demo": 7,
}
KERAS_ONLY = {"layers", "weights", "kinds", "insertion", "applications"}
BACKENDS = {"tensorflow", "jax", "torch"}

# Paths as the code imports them: keras_attn/applications and keras_attn/serving are links.
SOURCES = sorted(
    path.relative_to(ROOT)
    for folder in ("keras_attn", "applications", "serving")
    for path in (ROOT / folder).rglob("*.py")
    if not any(parent.is_symlink() for parent in path.parents)
)


def room(path: Path) -> str | None:
    """The part of the house that a file is in; `None` for the package's own `__init__`."""
    parts = path.parts if path.parts[0] != "keras_attn" else path.parts[1:]
    name = parts[0].removesuffix(".py")
    return None if name.startswith("_") else name


def imported(path: Path) -> list[str]:
    """The modules that a file imports, `from keras_attn import x` as keras_attn.x."""
    names = []
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names.append(node.module or "")
            if node.module == "keras_attn":
                names += [f"keras_attn.{alias.name}" for alias in node.names]
    return names


def test_every_source_is_found():
    assert {room(path) for path in SOURCES} - {None} == set(FLOORS)


@pytest.mark.parametrize("path", [p for p in SOURCES if room(p)], ids=str)
def test_imports_go_down(path):
    here = room(path)
    for name in imported(path):
        parts = name.split(".")
        assert parts[0] not in ("applications", "serving"), f"{path} imports {name}"
        if parts[0] != "keras_attn" or len(parts) == 1:
            continue
        there = parts[1]
        if there.startswith("_"):
            continue
        assert there == here or FLOORS[there] < FLOORS[here], f"{path} imports {name}"


@pytest.mark.parametrize("path", [p for p in SOURCES if room(p) in KERAS_ONLY], ids=str)
def test_layers_and_networks_run_on_every_backend(path):
    for name in imported(path):
        assert name.split(".")[0] not in BACKENDS, f"{path} imports {name}"
        assert not name.startswith("keras.src"), f"{path} imports {name}"
        assert not name.startswith("keras_attn.backend."), f"{path} imports {name}"


@pytest.mark.parametrize("path", [p for p in SOURCES if room(p) == "backend"], ids=str)
def test_a_backend_s_operations_import_that_backend_alone(path):
    for name in imported(path):
        assert name.split(".")[0] not in BACKENDS - {path.stem}, f"{path} imports {name}"


def test_the_client_stands_alone():
    outside = {"argparse", "base64", "http", "json", "sys", "urllib", "typing"}
    for name in imported(Path("serving/clients/client.py")):
        assert name.split(".")[0] in outside, f"serving/clients/client.py imports {name}"


def test_data_files_are_in_the_wheel():
    """Every file of a package that is no Python is listed: setuptools leaves the others out."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    listed = set()
    for package, patterns in tool["package-data"].items():
        folder = ROOT / package.replace(".", "/")
        for pattern in patterns:
            files = {path for path in folder.glob(pattern) if path.is_file()}
            assert files, f"{package}: no file is a {pattern}"
            listed |= {path.relative_to(ROOT).as_posix() for path in files}
    found = set()
    for folder, package in (
        ("keras_attn", "keras_attn"),
        ("applications", "keras_attn/applications"),
        ("serving", "keras_attn/serving"),
    ):
        for path in (ROOT / folder).rglob("*"):
            inside = path.relative_to(ROOT / folder)
            known = path.suffix in (".py", ".pyc") or path.is_dir()
            if not known and not any(parent.is_symlink() for parent in path.parents):
                found.add(f"{package}/{inside.as_posix()}")
    assert found == listed


def test_packages_are_the_tree():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        ".".join(("keras_attn", *path.parent.parts[path.parts[0] == "keras_attn" :]))
        for path in SOURCES
        if path.name == "__init__.py"
    }
    assert set(config["packages"]) == folders
    assert config["package-dir"] == {
        "keras_attn": "keras_attn",
        "keras_attn.applications": "applications",
        "keras_attn.serving": "serving",
    }
    for name in ("applications", "serving"):
        assert (ROOT / "keras_attn" / name).resolve() == ROOT / name
