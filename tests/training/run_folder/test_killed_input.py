"""Killed within an epoch, a training goes on with the batches that it would have had."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers.paths import TESTS, WITH_HELPERS


def run(backend, *arguments):
    return subprocess.run(
        [sys.executable, str(TESTS / "programs" / "killed_input.py"), *map(str, arguments)],
        env={**WITH_HELPERS, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"},
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip


def losses(path):
    """Epoch, batch -> loss; of a batch that came twice, the second."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return {(int(epoch), int(batch)): loss for epoch, batch, loss in lines}, len(lines)


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        pytest.param("tensorflow", "stream", marks=pytest.mark.slow),
        pytest.param("tensorflow", "files", marks=pytest.mark.slow),
        pytest.param("jax", "files", marks=pytest.mark.backend),
        pytest.param("torch", "files", marks=pytest.mark.backend),
    ],
)
def test_the_same_batches_after_a_kill(backend, kind, tmp_path):
    rng = np.random.default_rng(3)
    for i in range(40):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 50 + i % 2, 3), "uint8")).save(path)
    photos = tmp_path / "photos"
    done = run(backend, kind, photos, tmp_path / "whole")
    assert done.returncode == 0, done.stderr[-3000:]
    assert run(backend, kind, photos, tmp_path / "run", 1, 3).returncode == -9
    done = run(backend, kind, photos, tmp_path / "run")
    assert done.returncode == 0, done.stderr[-3000:]
    expected, count = losses(tmp_path / "whole.losses")
    found, count_with_kill = losses(tmp_path / "run.losses")
    assert count == 3 * 8 and count_with_kill == count + 4  # the epoch begins again
    assert found == expected
    seconds = float(done.stdout.split("first ")[1].split()[0])
    print(f"{backend}, {kind}: the first batch after {seconds:.1f} s")
    assert seconds < 60
