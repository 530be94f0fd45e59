"""Which tests are slow by what they are."""

import re

import pytest

# Deeper variants of networks that are in the fast suite.
DEEPER = re.compile(r"(?<!\d)(92|101|152|154|236|452)(?!\d)")
OF_NETWORKS = ("test_applications_", "test_cost", "test_docstrings", "test_registry")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name.startswith(OF_NETWORKS) and DEEPER.search(item.name):
            item.add_marker(pytest.mark.slow)
