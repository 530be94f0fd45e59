"""The kinds of attention: oracle, differences, backends, exports, insertion, explanation, cost.

    python -m benchmarks.accuracy.kinds [--only KIND ...] [--backends PYTHON]
        [--no-exports] [--out CSV]

For each kind, the tests that compare its layer with its oracle are run, and the greatest difference
that they saw is recorded, relative to the greatest value that was expected: of outputs, and where
the oracle has gradients, of them too. Then a small network with the kind, all of whose weights are
random, is run on JAX and PyTorch by the interpreter of `--backends`, exported to SavedModel, ONNX
and TFLite, whose checks compare the numbers, and asked for its attention. A fresh layer is inserted
into a network that has none, whose outputs must be the same to the last bit.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_attn
from benchmarks.accuracy.kind_networks import network, outputs, pixels, side_by_side
from benchmarks.measuring import save
from keras_attn.cost.attention import read_attention_costs
from keras_attn.explain import attention_maps
from keras_attn.export import export_onnx, export_saved_model, export_tflite
from keras_attn.kinds import KINDS

ROOT = Path(__file__).parents[2]

# The tests of a kind, where they aren't all of its layer's that compare with a source: a file below
# `tests/`, or `""` for the layer's own, and what must be in the name of a test, or of its case.
TESTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "channel_gate": ("layers/gates/channel_spatial/test_cbam.py", ("test_gates_equal",)),
    "spatial_gate": ("layers/gates/channel_spatial/test_cbam.py", ("test_gates_equal",)),
    "cbam": ("", ("test_cbam_equals_its_sources",)),
    "ge": ("", ("test_theta_minus_equals_timm",)),
    "ge_theta": ("", ("test_theta_equals_timm",)),
    "ge_theta_plus": ("", ("test_equals_numpy[theta_plus",)),
    "eca": ("", ("test_equals_timm",)),
    "ceca": ("", ("test_circular_equals_timm",)),
    "gc": ("", ("test_equals_timm[add",)),
    "gc_scale": ("", ("test_equals_timm[scale",)),
    "cse": ("", ("test_one_gate_equals_numpy[channel", "test_one_gate_equals_numpy[True-channel")),
    "sse": ("", ("test_one_gate_equals_numpy[spatial", "test_one_gate_equals_numpy[True-spatial")),
    "scse": ("", ("test_both_equal_numpy",)),
    "polarized": ("", ("test_parallel_equals",)),
    "polarized_sequential": ("", ("test_sequential_equals",)),
    "position_attention": (
        "layers/self_attention/dual/test_dual_attention.py",
        ("test_position_equals",),
    ),
    "channel_attention": (
        "layers/self_attention/dual/test_dual_attention.py",
        ("test_channel_equals",),
    ),
    "double": ("", ("test_equals_numpy",)),
    "non_local": ("", ("test_equals_timm",)),
    "sagan": ("", ("test_equals_numpy",)),
    "self_attention": ("", ("test_equals_the_loops", "test_gradients_equal_the_loops")),
    "aa": ("", ("test_convolution_comes_first",)),
    "attention_module": ("weights/test_parity.py", ("test_the_attention_block_of_pytorchcv",)),
}
FROM_A_SOURCE = ("equals_timm", "equal_timm", "equals_the_authors", "equals_authors")


class Recorder:
    """A plugin of pytest: what the comparisons of each test saw, by the test's name."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Any]] = {}
        self.test: dict[str, Any] = {}
        self._wrap()

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """What is compared from here on is this test's."""
        name = item.nodeid.removeprefix("tests/")
        self.test = self.seen[name] = {"sources": [], "differences": []}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that fails has no numbers."""
        if report.failed:
            raise RuntimeError(f"{report.nodeid} fails:\n{report.longreprtext}")

    def _wrap(self) -> None:
        """Before the tests import them, the functions that read oracles and compare with them."""
        from helpers import layer_contract
        from helpers.oracles import random_state, reference_outputs

        layer_contract.assert_close = self._comparing(layer_contract.assert_close)
        reference_outputs.assert_close = layer_contract.assert_close
        np.testing.assert_allclose = self._comparing(np.testing.assert_allclose)
        load, equals = reference_outputs.load_source, reference_outputs.assert_equals_source
        recorded = random_state.recorded

        def load_source(source: str, name: str) -> Any:
            self._read(f"{source}/{name}")
            return load(source, name)

        def assert_equals_source(layer: Any, name: str, parts: Any) -> None:
            self._read(f"family/{name}")
            equals(layer, name, parts)

        def read_recorded(name: str) -> Any:
            self._read(f"weights/{name}")
            return recorded(name)

        reference_outputs.load_source = load_source
        reference_outputs.assert_equals_source = assert_equals_source
        random_state.recorded = read_recorded

    def _read(self, name: str) -> None:
        with np.load(ROOT / f"tests/golden/{name}.npz") as file:
            self.test["sources"].append((name.split("/")[0], str(file["source"])))

    def _comparing(self, compare: Callable[..., None]) -> Callable[..., None]:
        def compare_and_record(got: Any, expected: Any, *args: Any, **kwargs: Any) -> None:
            compare(got, expected, *args, **kwargs)
            a, b = (np.asarray(x, "float64") for x in (got, expected))
            self.test["differences"].append(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3)))

        return compare_and_record


def tests_of(kind: str) -> tuple[str, tuple[str, ...]]:
    """The file of a kind's tests, below `tests/`, and what is in the names of those that count."""
    path, names = TESTS.get(kind, ("", FROM_A_SOURCE))
    module = KINDS[kind].layer.__module__.removeprefix("keras_attn.").replace(".", "/")
    folder, _, name = module.rpartition("/")
    return path or f"{folder}/test_{name}.py", names


def oracles(kinds: list[str]) -> dict[str, dict[str, Any]]:
    """Runs the tests, and gives each kind's oracle and the greatest difference."""
    sys.path.insert(0, str(ROOT / "tests"))
    recorder = Recorder()
    paths = sorted({str(ROOT / "tests" / tests_of(kind)[0]) for kind in kinds})
    wanted = sorted({name.partition("[")[0] for kind in kinds for name in tests_of(kind)[1]})
    arguments = ["-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-k", " or ".join(wanted)]
    pytest.main([*arguments, *paths], plugins=[recorder])
    rows = {}
    for kind in kinds:
        path, names = tests_of(kind)
        ours = {
            test: seen
            for test, seen in recorder.seen.items()
            if test.startswith(f"{path}::") and any(name in test for name in names)
        }
        differences = [each for seen in ours.values() for each in seen["differences"]]
        sources = sorted({source for seen in ours.values() for source in seen["sources"]})
        if not differences:
            raise RuntimeError(f"no test compares {kind!r}; there are {list(recorder.seen)}")
        has_gradients = any(folder == "family" for folder, _ in sources) or any(
            "gradients" in test for test in ours
        )
        rows[kind] = {
            "oracle": _oracle([source for _, source in sources]),
            "compared": "outputs, gradients" if has_gradients else "outputs",
            "difference": f"{max(differences):.1e}",
        }
    return rows


def _oracle(sources: list[str]) -> str:
    """The sources in short; with none, our own NumPy by the paper."""
    named = (source.rpartition(", torch")[0] or source for source in sources)
    short = dict.fromkeys(re.sub(r"([0-9a-f]{10})[0-9a-f]{30}", r"\1", name) for name in named)
    return "; ".join(short) or "NumPy by the paper's equations, in float64"


def start_other_backends(kinds: list[str], python: str, folder: str) -> dict[str, Any]:
    """A process for each other backend, which writes its outputs into the folder."""
    started = {}
    for backend in ("jax", "torch"):
        environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
        path = f"{folder}/{backend}.npz"
        command = [python, "-m", "benchmarks.accuracy.kind_networks", path, *kinds]
        started[backend] = subprocess.Popen(command, cwd=ROOT, env=environment)
    return started


def on_other_backends(
    kinds: list[str], started: dict[str, Any], folder: str
) -> dict[str, dict[str, str]]:
    """The greatest difference of each kind's outputs from TensorFlow's, when all are there."""
    rows: dict[str, dict[str, str]] = {kind: {} for kind in kinds}
    ours = {kind: outputs(kind) for kind in kinds}
    for backend, process in started.items():
        if process.wait():
            raise RuntimeError(f"the process on {backend} failed")
        with np.load(f"{folder}/{backend}.npz") as file:
            for kind in kinds:
                greatest = np.abs(ours[kind]).max()
                rows[kind][backend] = f"{np.abs(file[kind] - ours[kind]).max() / greatest:.1e}"
    return rows


def exported(kind: str) -> dict[str, str]:
    """Exports a network of the kind alone: "yes" where a format's checks pass, or why not.

    ONNX Runtime 1.32 fails at a graph with the last twelve kinds side by side, though it runs each.
    """
    model, row = side_by_side([kind]), {}
    with tempfile.TemporaryDirectory() as folder:
        saved_model: Any = None
        for name in ("saved_model", "onnx", "tflite"):
            try:
                if name == "saved_model":
                    saved_model = export_saved_model(model, f"{folder}/net")
                else:
                    export = export_onnx if name == "onnx" else export_tflite
                    export(saved_model, f"{folder}/net.{name}")
                row[name] = "yes"
            except (RuntimeError, ValueError) as error:
                row[name] = "no: " + str(error).splitlines()[0]
    keras.backend.clear_session()
    return row


def inserted_and_explained(kind: str) -> dict[str, str]:
    """Whether an inserted layer leaves the network's outputs, and what its attention shows."""
    model, plain, x = network(kind), network(None), pixels()
    attending = keras_attn.insert_attention(plain, kind, where="block")
    is_equal = np.array_equal(attending(x), plain(x))
    layer = model.get_layer("attention")
    attention = attention_maps(model, x)["attention"]
    places = keras_attn.layers.attention_by_place(layer, attention, layer.output.shape)
    keras.backend.clear_session()
    return {
        "step_0": "equal" if is_equal else "differs",
        "explained": "by channel" if places is None else "by place",
    }


def main() -> None:
    """Prints the table, and writes it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[*KINDS], choices=[*KINDS], metavar="KIND")
    parser.add_argument("--backends", help="an interpreter that has JAX and PyTorch")
    parser.add_argument("--no-exports", action="store_true", help="leave out what takes longest")
    parser.add_argument("--out", help="the CSV")
    arguments = parser.parse_args()
    kinds = list(arguments.only)
    with tempfile.TemporaryDirectory() as folder:
        python = arguments.backends
        started = start_other_backends(kinds, python, folder) if python else {}
        found = oracles(kinds)
        own = {kind: inserted_and_explained(kind) for kind in kinds}
        elsewhere = on_other_backends(kinds, started, folder) if started else {}
    exports = {kind: exported(kind) for kind in ([] if arguments.no_exports else kinds)}
    costs, _ = read_attention_costs()
    rows = []
    for kind in kinds:
        row = {
            "kind": kind,
            **found[kind],
            **elsewhere.get(kind, {}),
            **exports.get(kind, {}),
            **own[kind],
            "weights": costs[kind].parameters,
            "MMACs": round(costs[kind].macs / 1e6, 1),
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    if arguments.out:
        save(arguments.out, rows, "keras", "tensorflow")


if __name__ == "__main__":
    main()
