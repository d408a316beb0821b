"""A site for each test, and a visit to it that ends without an error on the page."""

import pytest

from tests.edge.script.visit import Visit, site


@pytest.fixture
def here():
    with site() as here:
        yield here


@pytest.fixture
def visit(here, browser):
    visit = Visit(here, browser)
    yield visit
    assert visit.errors == []
    visit.close()


@pytest.fixture
def shopper(visit):
    """A visit whose shopper has agreed."""
    visit.open()
    visit.grant()
    return visit
