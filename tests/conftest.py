"""What every test has: random values that are the same in every run."""

import functools
import gc
import sys
import typing
import unittest.mock

import pytest

if sys.version_info < (3, 12):
    # Keras asks at every turn whether something is a TensorFlow tensor, by a protocol whose members
    # Python 3.11 collects anew each time; later ones remember them.
    typing._get_protocol_attrs = functools.cache(typing._get_protocol_attrs)


# Graphs are many objects in few cycles: Python's own numbers look through them for a twelfth of the
# time.
gc.set_threshold(20_000, 20, 20)


def _seed():
    """Random weights are the same in every run, alone and in any order.

    TensorFlow is left out, as no test draws from its own state: setting its seed clears its caches
    of kernels and graphs, and every operation would be prepared anew for every test.
    """
    if "keras" in sys.modules:
        with unittest.mock.patch("tensorflow.random.set_seed"):
            sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(scope="module", autouse=True)
def nothing_older_is_looked_through():
    """Garbage is looked for among a module's own objects: those of all tests before it are many.

    A server looks whenever it unloads a model.
    """
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module", autouse=True)
def seeded_module():
    """What a module's own fixtures make."""
    _seed()


@pytest.fixture(autouse=True)
def seeded_test():
    """What a test makes."""
    _seed()


@pytest.fixture
def no_xla(monkeypatch):
    """Keras's `jit_compile="auto"` has XLA compile, for seconds, what these tests run briefly."""
    monkeypatch.setattr("keras.src.trainers.trainer.model_supports_jit", lambda model: False)
