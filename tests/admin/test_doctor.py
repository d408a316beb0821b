"""``cartwake doctor`` on real servers: a healthy set-up, and broken ones, each in its own words."""

import json
import re
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_bytes

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.rig.processes import LOOPBACK, free_port
from tests.rig.processes import run_cartwake as run
from tests.rig.redis import Redis
from tests.rig.secure_redis import password

PARTITIONS = 3
GOOD = {
    "maxmemory": "100mb",
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "requirepass": "",
}
NUMBER = re.compile(r"\d+")


@pytest.fixture(scope="module")
def own_redis(redis_server, tmp_path_factory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("doctor-redis"), options={"maxmemory": "100mb"})
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(empty_kafka, own_redis) -> dict[str, str]:
    """Return the settings of a healthy set-up, whose topics were made as the product makes them."""
    with own_redis.client() as client:
        client.flushall()
    settings = {
        "CARTWAKE_KAFKA__BOOTSTRAP": empty_kafka.bootstrap,
        "CARTWAKE_KAFKA__PARTITIONS": str(PARTITIONS),
        "CARTWAKE_REDIS__URL": own_redis.url,
    }
    assert run("topics", "create", settings=settings).returncode == 0
    return settings


def examined(settings: dict[str, str]) -> tuple[int, list[str]]:
    """Return exit code and lines of a doctor who has nothing to complain of but in them."""
    ended = run("doctor", settings=settings)
    assert ended.stderr == ""
    *lines, last = ended.stdout.splitlines()
    # The Python of these tests is this machine's; `test_versions.py` judges others.
    own = [number for number, line in enumerate(lines) if line.startswith("warn  Python")]
    for number in own:
        lines[number] = lines[number].replace("warn", "ok  ", 1)
    failed, warned, fine = map(int, NUMBER.findall(last))
    last = f"{failed} failed, {warned - len(own)} warnings, {fine + len(own)} ok"
    return ended.returncode, [*lines, last]


def bad(lines: list[str]) -> list[str]:
    found = [line for line in lines[:-1] if not line.startswith("ok    ")]
    assert all(" -> " in line for line in found), "each says what to do"
    return found


@contextmanager
def configured(redis: Redis, name: str, value: str) -> Iterator[None]:
    with redis.client() as client:
        client.config_set(name, value)
        try:
            yield
        finally:
            client.config_set(name, GOOD[name])


def alter(kafka, topic: str, name: str, value: str) -> None:
    change = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(30)


def test_a_healthy_set_up_is_ok_in_every_line(settings):
    code, lines = examined(settings)
    assert bad(lines) == []
    assert code == 0
    assert lines[-1] == f"0 failed, 0 warnings, {len(lines) - 1} ok"
    assert f"ok    inputs: {PARTITIONS} partitions each" in lines


def test_looking_changes_nothing(settings, empty_kafka, own_redis):
    before = empty_kafka.topics()
    examined(settings)
    with own_redis.client() as client:
        assert client.dbsize() == 0
    assert empty_kafka.topics() == before


def test_kafka_away_does_not_hide_redis(settings):
    nowhere = f"{LOOPBACK}:{free_port()}"
    code, lines = examined(settings | {"CARTWAKE_KAFKA__BOOTSTRAP": nowhere})
    assert code == 1
    [line] = bad(lines)
    assert line.startswith(f"FAIL  Kafka: at {nowhere} cannot be reached -> start it, or correct")
    assert "ok    eviction: maxmemory-policy noeviction" in lines


def test_redis_away_does_not_hide_kafka(settings):
    port = free_port()
    code, lines = examined(settings | {"CARTWAKE_REDIS__URL": f"redis://{LOOPBACK}:{port}/0"})
    assert code == 1
    [line] = bad(lines)
    assert line.startswith(f"FAIL  Redis: at {LOOPBACK}:{port} does not serve (")
    assert f"ok    inputs: {PARTITIONS} partitions each" in lines


def test_servers_that_accept_and_never_answer_are_given_up(settings):
    with socket.create_server((LOOPBACK, 0)) as silent:
        place = f"{LOOPBACK}:{silent.getsockname()[1]}"
        code, lines = examined(
            settings
            | {"CARTWAKE_KAFKA__BOOTSTRAP": place, "CARTWAKE_REDIS__URL": f"redis://{place}/0"}
        )
    assert code == 1
    assert [line.split(":")[0] for line in bad(lines)] == ["FAIL  Kafka", "FAIL  Redis"]


def test_a_topic_that_is_missing_is_named(settings, empty_kafka):
    empty_kafka.delete_topics(["triggers"])
    code, lines = examined(settings)
    assert code == 1
    [line] = bad(lines)
    assert line.startswith("FAIL  topic triggers: does not exist")
    assert "'cartwake topics create'" in line


def test_inputs_of_different_partition_counts_fail(settings, empty_kafka):
    empty_kafka.delete_topics(["page-views"])
    empty_kafka.create_topics(["page-views"], 5, {"retention.ms": "604800000"})
    code, lines = examined(settings)
    assert code == 1
    counts = "visitor-facts 3, message-feedback 3, cart-events 3, page-views 5"
    assert counts in bad(lines)[0]


def test_a_topic_that_forgets_within_a_day_fails(settings, empty_kafka):
    alter(empty_kafka, "cart-events", "retention.ms", "7200000")
    code, lines = examined(settings)
    assert code == 1
    [line] = bad(lines)
    assert line.startswith("FAIL  topic cart-events: kept 2 hours: records not read by then")
    assert line.endswith("set retention.ms=604800000")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("maxmemory-policy", "allkeys-lru", "FAIL  eviction: has maxmemory-policy allkeys-lru"),
        ("appendonly", "no", "FAIL  persistence: appendonly is no"),
        ("maxmemory", "0", "warn  memory: "),
    ],
)
def test_a_redis_that_is_set_up_wrongly_is_told(settings, own_redis, name, value, said):
    with configured(own_redis, name, value):
        code, lines = examined(settings)
    [line] = bad(lines)
    assert line.startswith(said)
    assert code == (1 if line.startswith("FAIL") else 0)


@pytest.fixture
def secured(secure_kafka, secure_redis) -> dict[str, str]:
    """Return the operator's settings where servers demand TLS and logins."""
    return {
        **secure_kafka.settings("cartwake-operator"),
        "CARTWAKE_REDIS__URL": secure_redis.url_of("cartwake-operator"),
        "CARTWAKE_REDIS__PASSWORD": password("cartwake-operator"),
        "CARTWAKE_REDIS__SSL_CAFILE": str(secure_redis.certificates.ca),
    }


def of_servers(settings: dict[str, str]) -> tuple[str, str]:
    """Return what a doctor says of Kafka and of Redis, neither of which lets it in."""
    code, lines = examined(settings)
    assert code == 1
    assert "secret" not in "".join(lines)
    kafka, redis = (line for line in lines if line.startswith(("FAIL  Kafka:", "FAIL  Redis:")))
    return kafka, redis


def test_wrong_passwords_are_told_with_the_settings_to_look_at_and_not_shown(secured):
    wrong = {"CARTWAKE_KAFKA__SASL_PASSWORD": "wrong-secret", "CARTWAKE_REDIS__PASSWORD": "secret"}
    kafka, redis = of_servers(secured | wrong)
    assert "refuses this login of cartwake-operator by SCRAM-SHA-512 -> correct kafka.s" in kafka
    assert "kafka.sasl_password" in kafka
    assert "refuses this login: invalid username-password pair" in redis
    assert "-> correct the user in redis.url" in redis
    assert "redis.password" in redis
    for line in (kafka, redis):
        assert "start it" not in line


def test_a_redis_that_wants_a_password_is_told_from_one_that_is_away(settings, own_redis):
    with configured(own_redis, "requirepass", "a-secret"):
        code, lines = examined(settings)
    assert code == 1
    [line] = bad(lines)
    assert "refuses this login: " in line
    assert "-> correct the user in redis.url" in line


def test_a_password_in_the_url_is_not_shown_either(settings, own_redis):
    url = own_redis.url.replace("//", "//ann:wrong-secret@")
    code, lines = examined(settings | {"CARTWAKE_REDIS__URL": url})
    assert code == 1
    [line] = bad(lines)
    assert "refuses this login" in line
    assert "secret" not in "".join(lines)


def test_certificates_that_are_not_trusted_are_told_with_the_authority_to_name(secured):
    for server in ("KAFKA", "REDIS"):
        del secured[f"CARTWAKE_{server}__SSL_CAFILE"]
    kafka, redis = of_servers(secured)
    for name, line in (("kafka", kafka), ("redis", redis)):
        assert "has a certificate that is not to be trusted: " in line
        assert f"-> set {name}.ssl_cafile to the authority" in line


def test_a_port_that_speaks_no_tls_cannot_be_told_from_one_that_is_away_and_the_line_says_so(
    secured, secure_kafka, own_redis
):
    port = own_redis.url.rpartition(":")[2]
    kafka, redis = of_servers(
        secured
        | {
            "CARTWAKE_KAFKA__BOOTSTRAP": secure_kafka.bootstrap,
            "CARTWAKE_REDIS__URL": f"rediss://{LOOPBACK}:{port}",
        }
    )
    assert "or does not speak SASL_SSL there -> start it, or correct kafka.bootstrap, or" in kafka
    assert "kafka.security_protocol: the protocol of that port" in kafka
    assert "-> start it, or correct redis.url: rediss:// where that port speaks TLS, and" in redis


def test_a_port_that_wants_tls_cannot_be_told_from_one_that_is_away_and_the_line_says_so(
    settings, secure_kafka, secure_redis
):
    kafka, redis = of_servers(
        settings
        | {
            "CARTWAKE_KAFKA__BOOTSTRAP": secure_kafka.addresses["SASL_SSL"],
            "CARTWAKE_REDIS__URL": f"redis://{LOOPBACK}:{secure_redis.tls_port}",
        }
    )
    assert "cannot be reached -> start it, or correct kafka.bootstrap, or kafka.security" in kafka
    assert "-> start it, or correct redis.url: rediss:// where that port speaks TLS" in redis


def test_partitions_that_were_changed_under_the_group_fail(settings, own_redis):
    with own_redis.client() as client:
        client.set("cartwake:partitions", 12)
    code, lines = examined(settings)
    assert code == 1
    [line] = bad(lines)
    assert line.startswith("FAIL  state: the input topics have 3 partitions, but Redis at")
    assert "holds the state of 12 -> partitions cannot be changed under a group" in line


def test_records_from_the_future_are_worth_a_warning(settings, empty_kafka):
    soon_ms = time.time_ns() // 1_000_000 + 600_000
    empty_kafka.produce("page-views", [(b"v1", b"{}", soon_ms, None, 0)])
    code, lines = examined(settings)
    assert code == 0
    [line] = bad(lines)
    assert line.startswith("warn  clock of the records: page-views hold records stamped more than")


def test_a_configuration_that_is_wrong_ends_with_2_and_hides_no_server(settings, tmp_path):
    key = '[{"key": "pk", "kind": "browser", "origins": ["https://shop.example"]}]'
    code, lines = examined(settings | {"CARTWAKE_EDGE__KEYS": key})
    assert code == 2
    assert bad(lines)[0].startswith("FAIL  edge: ")
    assert "ok    eviction: maxmemory-policy noeviction" in lines
    unknown = run("doctor", settings={"CARTWAKE_REDIS__URI": "x"})
    assert unknown.returncode == 2
    assert "CARTWAKE_REDIS__URL" in unknown.stderr


def test_a_cluster_is_judged_by_its_primaries(settings, redis_cluster):
    with redis_cluster.client() as client:
        client.flushall()
    code, lines = examined(settings | {"CARTWAKE_REDIS__URL": redis_cluster.url})
    assert code == 0, bad(lines)
    assert sum(line.startswith("ok    eviction at ") for line in lines) == 3
    assert "ok    cluster: state ok, 3 primaries with slots" in lines


def test_endpoints_of_webhooks_are_judged_and_nobody_connects_to_them(settings):
    with socket.create_server((LOOPBACK, 0)) as listening:
        listening.settimeout(0)
        port = listening.getsockname()[1]
        secret = f"whsec_{b64encode(token_bytes(32)).decode()}"
        told = [
            {"name": "plain", "url": f"http://{LOOPBACK}:{port}/hush", "secrets": [secret]},
            {"name": "intern", "url": f"https://localhost:{port}/hush", "secrets": [secret]},
        ]
        code, lines = examined(settings | {"CARTWAKE_WEBHOOKS__ENDPOINTS": json.dumps(told)})
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert code == 2, "cartwake webhooks would refuse these settings"
    assert [line.split(":")[0] for line in bad(lines)] == [
        "FAIL  webhook plain",
        "FAIL  name of webhook intern",
    ]
    assert "hush" not in "".join(lines)
    assert secret not in "".join(lines)
