"""What the tests of clients share: one running edge, and the rows of docs/clients.md."""

import pytest

from tests.clients import installed
from tests.clients.page import Row, keep
from tests.clients.programs import Example
from tests.clients.served import served_edge

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


@pytest.fixture
def program(tmp_path, request):
    """Return how to run an example; it returns what the program printed."""

    def run_program(name, **given):
        request.getfixturevalue("python_clients" if name.endswith(".py") else "node_clients")
        return Example(name).run(tmp_path, **given)

    return run_program


@pytest.fixture
def run(edge, program):
    """Return how to run an example against the edge."""
    return lambda name: program(name, edge=edge.url)


@pytest.fixture(scope="session")
def rows():
    """Collect the rows of this run."""
    return []


@pytest.fixture
def state(rows):
    """Return how a test states the row of its client on docs/clients.md."""

    def state_row(name, package, *, arrived, does, limits="", example=None):
        """Without an example in Python the package is one of Node's; None if none took part."""
        of_python = (example or "").endswith(".py")
        read = installed.python_version if of_python else installed.node_version
        version = read(package) if package else None
        row = Row(name, package, version, tuple(arrived), does, limits, example)
        rows.append(row)
        keep(row)

    return state_row
