"""The same tests of glimpses, segmentation and losses on the other two backends."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from helpers.paths import ROOT

FILES = (
    "tests/layers/glimpses",
    "tests/layers/segmentation",
    "tests/losses",
    "tests/applications/test_recurrent_attention.py",
    "tests/applications/test_racnn.py",
    "tests/applications/segmentation/test_heads.py",
    "tests/applications/segmentation/test_scale_aware.py",
    "tests/applications/segmentation/test_two_depth.py",
    "tests/layers/captions",
    "tests/applications/captions",
    "tests/finetune/test_alternating.py",
)


@pytest.mark.backend
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_the_same_tests_on(backend):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-m",
            "not backend and not slow and not thorough",
            "-p",
            "no:cacheprovider",
            *FILES,
        ],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
