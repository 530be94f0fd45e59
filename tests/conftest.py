"""What every test has: random values that are the same in every run."""

import gc
import sys
import unittest.mock

import pytest


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
