"""The same tests on the other two backends: a line for each room that has them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from helpers.paths import ROOT

ROOMS = {
    "layers": ["layers/glimpses", "layers/segmentation", "layers/captions", "losses"],
    "applications": [
        "applications/test_recurrent_attention.py",
        "applications/test_racnn.py",
        "applications/segmentation/test_heads.py",
        "applications/segmentation/test_scale_aware.py",
        "applications/segmentation/test_two_depth.py",
        "applications/captions",
    ],
    "explain": ["explain/test_methods.py", "explain/test_profiles.py"],
    "data": ["data/test_ahead.py", "data/test_sequence.py"],
    "finetune": ["finetune/test_alternating.py"],
}


@pytest.mark.backend
@pytest.mark.parametrize("backend", ["torch", "jax"])
@pytest.mark.parametrize("room", ROOMS)
def test_the_same_tests_on(backend, room):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        + ["-m", "not backend and not slow and not thorough"]
        + [f"tests/{path}" for path in ROOMS[room]],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
