"""A Redis of its own for tests that kill it, fill it or set it up in a wrong way."""

import contextlib

import pytest

from stream.adapters.redis import connection as connections
from stream.adapters.redis.connection import Connection
from tests.adapters.redis.servers import hearing
from tests.rig.redis import Redis


@pytest.fixture(scope="module")
def _server(redis_server, tmp_path_factory):
    # ``redis_server`` says whether there can be one at all.
    server = Redis(tmp_path_factory.mktemp("own-redis"), appendfsync="always")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_redis(_server):
    """Return an empty server that no other module uses, up and set up as it should be."""
    with contextlib.suppress(RuntimeError):  # it is up already
        _server.start()
    with _server.client() as client:
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
        client.flushall()
        client.script_flush()
    return _server


@pytest.fixture
def log():
    """Return the lines that the connection logs from now on."""
    with hearing(connections.__name__) as heard:
        yield heard


@pytest.fixture
def impatient(monkeypatch):
    """Make the pauses between attempts short."""
    monkeypatch.setattr(connections, "LONGEST_WAIT_S", 0.05)


@pytest.fixture
async def connection(own_redis):
    made = Connection(own_redis.url)
    yield made
    await made.close()
