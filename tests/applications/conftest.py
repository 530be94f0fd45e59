"""What tests of networks share: networks built once, and networks without random values."""

from __future__ import annotations

import inspect
from collections import OrderedDict

import keras
import numpy as np
import pytest

from helpers.network_checks import cut
from keras_attn import applications
from keras_attn.applications.common import residual_network

KEPT = 8  # networks at a time


def _no_values(patch):
    def zeros(self, shape, dtype=None):
        return keras.ops.zeros(shape, dtype or keras.config.floatx())

    for cls in ("VarianceScaling", "RandomNormal", "RandomUniform", "TruncatedNormal"):
        patch.setattr(getattr(keras.initializers, cls), "__call__", zeros)


@pytest.fixture
def no_values(monkeypatch):
    """Networks whose kernels are zero, in half the time: for tests of shapes and names."""
    _no_values(monkeypatch)


@pytest.fixture
def few_blocks(monkeypatch):
    """Cuts the stages of a constructor's network."""

    def cut_stages(construct, blocks=(1, 1, 1, 1)):
        module = inspect.getmodule(construct)
        for name in {"RESNETS", "RESNEXTS"} & set(vars(module)):
            monkeypatch.setattr(module, name, cut(getattr(residual_network, name), blocks))

    return cut_stages


@pytest.fixture(scope="session")
def built():
    """Networks by the constructor's name and arguments, each built once, without random values.

    No test may train or set them: at the end they are what they were. A test that must change one
    builds its own.
    """
    made: OrderedDict = OrderedDict()

    def check(model, before):
        assert [float(np.sum(w)) for w in model.weights] == before, f"a test set {model.name}"

    def build(name, *args, **kwargs):
        key = (name, repr(args), repr(sorted(kwargs.items())))
        if key not in made:
            with pytest.MonkeyPatch.context() as patch:
                _no_values(patch)
                model = getattr(applications, name)(*args, **kwargs)
            made[key] = model, [float(np.sum(w)) for w in model.weights]
            if len(made) > KEPT:
                check(*made.popitem(last=False)[1])
        made.move_to_end(key)
        return made[key][0]

    yield build
    for each in made.values():
        check(*each)
