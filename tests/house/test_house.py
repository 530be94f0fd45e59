"""The house: imports only go down, backends stay above the layers, packages match the tree."""

from __future__ import annotations

import ast
import collections
import tomllib
from pathlib import Path

from helpers.paths import ROOT

FLOORS = {
    "backend": -1,
    "layers": 0,
    "images": 0,
    "losses": 0,
    "weights": 1,
    "kinds": 1,
    "insertion": 2,
    "applications": 2,
    "data": 2,
    "training": 3,
    "export": 3,
    "explain": 3,
    "classifiers": 4,
    "finetune": 4,
    "serving": 5,
    "cost": 5,
    "report": 6,
    "demo": 6,
    "cli": 7,
}
KERAS_ONLY = {"layers", "losses", "weights", "kinds", "insertion", "applications"}
BACKENDS = {"tensorflow", "jax", "torch"}
OF_ALL = {"typing"}  # what every room may import, as it may the modules of an underscore

# Paths as the code imports them: keras_attn/applications and keras_attn/serving are links.
SOURCES = sorted(
    path.relative_to(ROOT)
    for folder in ("keras_attn", "applications", "serving")
    for path in (ROOT / folder).rglob("*.py")
    if not any(parent.is_symlink() for parent in path.parents)
)


def room(path: Path) -> str | None:
    """The part of the house that a file is in; `None` for what belongs to all of them."""
    parts = path.parts if path.parts[0] != "keras_attn" else path.parts[1:]
    name = parts[0].removesuffix(".py")
    return None if name.startswith("_") or name in OF_ALL else name


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


def rooms_imported(path: Path) -> set[str]:
    """The other rooms that a file imports."""
    names = [name.split(".") for name in imported(path)]
    found = {parts[1] for parts in names if parts[0] == "keras_attn" and len(parts) > 1}
    return {name for name in found if not name.startswith("_")} - OF_ALL - {room(path)}


def test_imports_go_down():
    up = [
        f"{path} imports {there}"
        for path in SOURCES
        if (here := room(path))
        for there in rooms_imported(path)
        if FLOORS[there] >= FLOORS[here]
    ]
    assert not up


def test_the_outer_folders_are_imported_by_their_names():
    for path in SOURCES:
        roots = {name.split(".")[0] for name in imported(path)}
        assert not roots & {"applications", "serving"}, path


def test_the_table_of_rooms_is_what_they_import():
    """The table in CONTRIBUTING.md, whose rows go from the ground up."""
    imports = {name: set() for name in FLOORS}
    for path in SOURCES:
        if here := room(path):
            imports[here] |= rooms_imported(path)
    expected = [
        f"| {name} | {', '.join(sorted(imports[name], key=order)) or '-'} |"
        for name in sorted(FLOORS, key=order)
    ]
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "\n".join(["| room | imports |", "|---|---|", *expected, ""]) in text


def order(name: str) -> tuple[int, str]:
    return FLOORS[name], name


def test_no_folder_has_more_than_ten_modules():
    count = collections.Counter(
        path.parent.as_posix()
        for folder in ("keras_attn", "applications", "serving", "tests", "benchmarks", "docs")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py" and not any(parent.is_symlink() for parent in path.parents)
    )
    assert not {name: size for name, size in count.items() if size > 10}


def test_layers_and_networks_run_on_every_backend():
    for path in SOURCES:
        if room(path) in KERAS_ONLY | {None}:
            for name in imported(path):
                assert name.split(".")[0] not in BACKENDS, f"{path} imports {name}"
                assert not name.startswith("keras.src"), f"{path} imports {name}"
                assert not name.startswith("keras_attn.backend."), f"{path} imports {name}"


def test_a_backend_s_operations_import_that_backend_alone():
    for path in SOURCES:
        if room(path) == "backend":
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
