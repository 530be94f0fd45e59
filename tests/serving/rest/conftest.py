"""What tests of the page share."""

import pytest

from helpers.pages import browser as chromium


@pytest.fixture(scope="session")
def browser():
    if chromium.PATH is None:
        pytest.fail("There is no Chromium. On Debian: apt-get install chromium")
    with chromium.Browser() as one:
        yield one
