"""What the tests of clients share: one running edge, and the rows of docs/clients.md."""

import pytest

from tests.clients import installed
from tests.clients.page import Row, keep
from tests.clients.programs import Example
from tests.clients.served import served_edge
from tests.conftest import missing
from tests.rig.processes import Unavailable

LAST = "test_page.py"
collect_ignore = ["examples"]  # programs of their own, for other packages


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Compare the page once all clients have run."""
    items.sort(key=lambda item: item.path.parent.name == "clients" and item.path.name == LAST)


@pytest.fixture(scope="session")
def served():
    with served_edge() as running:
        yield running


@pytest.fixture
def edge(served):
    """Yield the running edge without what arrived for the tests before, and at work."""
    served.fail(0)
    served.new_events(0)
    yield served
    served.fail(0)


def installed_or_missing(get):
    try:
        return get()
    except Unavailable as why:
        missing(str(why))


@pytest.fixture(scope="session")
def node_clients():
    """Return the folder of Node's clients; the test is skipped where Node is missing."""
    return installed_or_missing(installed.node_modules)


@pytest.fixture(scope="session")
def python_clients():
    return installed_or_missing(installed.site_packages)


@pytest.fixture
def run(edge, tmp_path, request):
    """Return how to run an example against the edge; it returns what the program printed."""

    def run_example(name):
        request.getfixturevalue("python_clients" if name.endswith(".py") else "node_clients")
        return Example(name).run(tmp_path, edge.url)

    return run_example


@pytest.fixture(scope="session")
def rows():
    """Collect the rows of this run."""
    return []


@pytest.fixture
def state(rows):
    """Return how a test states the row of its client on docs/clients.md."""

    def state_row(name, package, *, arrived, does, limits="", example=None, node=None):
        """``node`` says whose package it is; by default the example's ending says so."""
        of_node = node if node is not None else not (example or "").endswith(".py")
        version = (installed.node_version if of_node else installed.python_version)(package)
        row = Row(name, package, version, tuple(arrived), does, limits, example)
        rows.append(row)
        keep(row)

    return state_row
