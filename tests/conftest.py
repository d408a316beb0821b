"""What every test may ask for: real servers, names of its own, the shop's data.

The one rule: a test that needs what this machine lacks is skipped and says why; on the build
server (``CI=true``) it fails, so that nothing there goes unproven in silence.
"""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from playwright.sync_api import Browser

from tests.clients import installed
from tests.rig import browser as rig_browser
from tests.rig.certificates import Certificates
from tests.rig.kafka import Kafka
from tests.rig.merch_store import shop_file
from tests.rig.processes import Unavailable
from tests.rig.redis import Redis
from tests.rig.redis_cluster import RedisCluster
from tests.rig.secure_kafka import SecureKafka
from tests.rig.secure_redis import SecureRedis

# A shell ignores Ctrl-C for what it runs in the background, and programs inherit that: those that a
# test ends in this way would not hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

MARKERS = {
    "browser": "browser",
    "kafka_server": "kafka",
    "secure_kafka": "kafka",
    "redis_server": "redis",
    "shop_data": "data",
}


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the servers and data it asks for: ``-m "not kafka"`` needs no Java."""
    for item in items:
        for fixture, marker in MARKERS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)


def missing(reason: str) -> NoReturn:
    """Skip the test that needs what is missing here."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason} (CI=true: nothing may be skipped)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One broker for the whole run; tests keep apart by ``topic_prefix`` or ``empty_kafka``."""
    try:
        kafka = Kafka(tmp_path_factory.mktemp("kafka"))
    except Unavailable as why:
        missing(str(why))
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.stop()


@pytest.fixture(scope="session")
def node_clients() -> Path:
    """Return the folder with Node's clients of other projects."""
    return _installed(installed.node_modules)


@pytest.fixture(scope="session")
def python_clients() -> Path:
    """Return the folder with Python's clients of other projects."""
    return _installed(installed.site_packages)


def _installed(get: Callable[[], Path]) -> Path:
    try:
        return get()
    except Unavailable as why:
        missing(str(why))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module: while it runs, no test of that module may run an event loop."""
    try:
        rig_browser.chromium()
    except Unavailable as why:
        pytest.skip(str(why))  # the build server installs it, where it can
    with rig_browser.browser() as running:
        yield running


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One append-only Redis for the whole run; keys begin with the consumer group (``group``)."""
    try:
        server = Redis(tmp_path_factory.mktemp("redis"))
    except Unavailable as why:
        missing(str(why))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def redis_cluster(
    redis_server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisCluster]:
    """One cluster of three primaries and a spare node for the whole run."""
    # ``redis_server`` says whether there can be one at all.
    cluster = RedisCluster(tmp_path_factory.mktemp("redis-cluster"), primaries=3, spare=1)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority of this run, and a certificate for servers on loopback."""
    try:
        return Certificates(tmp_path_factory.mktemp("certificates"))
    except Unavailable as why:
        missing(str(why))


@pytest.fixture(scope="session")
def secure_redis(
    redis_server: Redis, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecureRedis]:
    """One Redis for the whole run that demands TLS and the users of ``deploy/``."""
    server = SecureRedis(tmp_path_factory.mktemp("secure-redis"), certificates)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def secure_kafka(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecureKafka]:
    """One broker for the whole run that demands TLS, logins and the rights of ``deploy/``."""
    try:
        kafka = SecureKafka(tmp_path_factory.mktemp("secure-kafka"), certificates)
    except Unavailable as why:
        missing(str(why))
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.stop()


@pytest.fixture
def empty_kafka(kafka_server: Kafka) -> Kafka:
    """The run's broker with none of the topics of the tests before."""
    kafka_server.delete_topics(kafka_server.topics())
    return kafka_server


@pytest.fixture
def empty_redis(redis_server: Redis) -> Redis:
    """The run's Redis without a single key."""
    with redis_server.client() as client:
        client.flushall()
    return redis_server


@pytest.fixture
def topic_prefix() -> str:
    """Return the beginning of names of topics that no other test uses."""
    return f"test-{uuid.uuid4().hex[:8]}-"


@pytest.fixture
def group() -> str:
    """Return a consumer group that no other test uses."""
    return f"group-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def shop_data() -> Path:
    """Return the shop's month of hits; skipped, on the build server too, where it isn't there."""
    path = shop_file()
    if not path.exists():
        # Its licence is unknown, so it cannot be fetched by whoever has the repository alone.
        pytest.skip(
            f"no real shop data: {path.name} is neither in ../shared/data nor CARTWAKE_DATA"
        )
    return path
