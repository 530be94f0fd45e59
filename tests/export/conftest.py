"""What tests of exports share."""

import pytest

from keras_attn.export.checks.loaders import LOADERS, SESSION


@pytest.fixture
def one_loader(monkeypatch):
    """What is written is run by one loader; where loaders are what is tested, by all."""
    for name in set(LOADERS) - {SESSION}:
        monkeypatch.delitem(LOADERS, name)
