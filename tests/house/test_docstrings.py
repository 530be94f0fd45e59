"""The examples in the docstrings of the public surface, run as they stand."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest

import keras_attn
from keras_attn import applications, insertion, kinds, layers, losses, weights


def modules():
    for package in (layers, losses, weights, kinds, insertion, applications):
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            yield importlib.import_module(info.name)


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in modules():
        names = {
            "keras": keras,
            "keras_attn": keras_attn,
            "np": np,
            **{name: value for name, value in vars(module).items() if not name.startswith("_")},
        }
        for test in finder.find(module, module.__name__, globs=names):
            name = test.name.rpartition(".")[2]
            # Examples of constructors are in tests/applications/common/test_signatures.py.
            is_constructor = name in vars(applications) and name[0].isupper()
            if test.examples and not is_constructor:
                yield test


@pytest.mark.parametrize("test", list(examples()), ids=lambda test: test.name)
def test_example(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report: list[str] = []
    failures, attempts = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
        test, out=report.append
    )
    assert attempts and not failures, "".join(report)


def test_every_public_name_has_a_docstring():
    for package in (layers, losses, weights, kinds, insertion, applications):
        for name, value in vars(package).items():
            if not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
                assert inspect.getdoc(value), f"{package.__name__}.{name} has no docstring"
