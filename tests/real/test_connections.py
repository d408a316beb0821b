"""The whole worker where servers demand TLS and logins, and let each role do its work alone."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)

from stream.domain.topics import LANES
from tests.rig.endpoint import SECRET, Endpoint
from tests.rig.mailbox import Mailbox
from tests.rig.processes import Emailer, Served, Worker, run_cartwake, wait_until
from tests.rig.secure_kafka import ROLES, SecureKafka
from tests.rig.secure_redis import SecureRedis, password

WORKER, OPERATOR, STOREFRONT, EMAILER, WEBHOOKS, EDGE, AUTOSCALER = ROLES
OUT = {"triggers", "decisions", "trigger-cancels", "dead-letters", "training-examples"}
ALL = {*LANES, *OUT}
FROM_SHOPS = {"consent-events", "cart-events", "page-views"}
VISITOR = "v-4711"
BOTH = {"personalization": "granted", "marketing_email": "granted"}
PRODUCT = {"id": "mug", "price_minor": 1200, "currency": "EUR"}
STEPS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("consent-events", "consent_updated", {"purposes": BOTH}),
    ("cart-events", "product_added", {"product": PRODUCT, "quantity": 1}),
    ("page-views", "exit_signalled", {"signal": "idle", "dwell_ms": 9000}),
    ("page-views", "never_heard_of", {}),
)


@pytest.fixture
def kafka(secure_kafka: SecureKafka) -> SecureKafka:
    """Return the broker with topics that the operator has just made."""
    secure_kafka.delete_topics(secure_kafka.topics())
    made = run_cartwake("topics", "create", settings=secure_kafka.settings(OPERATOR))
    assert made.returncode == 0, made.stderr
    return secure_kafka


@pytest.fixture
def roles_kafka(secure_kafka: SecureKafka) -> SecureKafka:
    """Return the broker with all topics, whatever they hold."""
    if missing := ALL - secure_kafka.topics().keys():
        secure_kafka.create_topics(missing, 1)
    return secure_kafka


def secured(server: SecureRedis, role: str = WORKER) -> dict[str, str]:
    """Return the settings of a role that comes to Redis as its user, by TLS."""
    return {
        "CARTWAKE_REDIS__URL": server.url_of(role),
        "CARTWAKE_REDIS__PASSWORD": password(role),
        "CARTWAKE_REDIS__SSL_CAFILE": str(server.certificates.ca),
    }


def shop(kafka: SecureKafka) -> None:
    """Tell, as the storefront, of a shopper who is about to leave with something in the cart."""
    producer = Producer(kafka.client_options(STOREFRONT) | {"partitioner": "murmur2_random"})
    for number, (topic, kind, fields) in enumerate(STEPS):
        event = {"type": kind, "id": f"e-{number}", "visitor": VISITOR}
        value = json.dumps(event | {"at_ms": time.time_ns() // 1_000_000} | fields)
        producer.produce(topic, key=VISITOR, value=value)
        assert producer.flush(30) == 0


def webhooks(folder: Path, settings: dict[str, str], endpoint: Endpoint) -> Served:
    """Return what posts triggers to an endpoint."""
    told = [{"name": "crm", "url": endpoint.url, "secrets": [SECRET]}]
    own = {
        "CARTWAKE_WEBHOOKS__ENDPOINTS": json.dumps(told),
        "CARTWAKE_WEBHOOKS__ALLOW_PRIVATE": "true",
    }
    return Served("webhooks", folder, settings | own, "webhooks")


def received(kafka: SecureKafka, wanted: int) -> list[dict[str, Any]]:
    """Return triggers as the emailer gets them, by its consumer group."""
    group = {"group.id": "emailer", "auto.offset.reset": "earliest"}
    consumer = Consumer(kafka.client_options(EMAILER) | group)
    consumer.subscribe(["triggers", "trigger-cancels"])
    found: list[dict[str, Any]] = []
    try:
        until = time.monotonic() + 60
        while len(found) < wanted and time.monotonic() < until:
            message = consumer.poll(0.5)
            if message is not None:
                assert message.error() is None, message.error()
                found.append(json.loads(message.value()))
        consumer.commit(asynchronous=False)
    finally:
        consumer.close()
    return found


@pytest.mark.parametrize(
    ("protocol", "mechanism", "redis"),
    [("SASL_SSL", "SCRAM-SHA-512", "secure_redis"), ("SASL_PLAINTEXT", "PLAIN", "redis_cluster")],
)
def test_every_role_does_its_work(
    kafka: SecureKafka,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    protocol: str,
    mechanism: str,
    redis: str,
) -> None:
    server = request.getfixturevalue(redis)
    with server.client() as client:
        client.flushall()
    settings = {
        **kafka.settings(WORKER, protocol, sasl_mechanism=mechanism),
        **(secured(server) if redis == "secure_redis" else {"CARTWAKE_REDIS__URL": server.url}),
        "CARTWAKE_CART_ABANDONMENT__IDLE_S": "2",
        "CARTWAKE_LEARNING__HORIZON_S": "2",
        "CARTWAKE_HOLDOUT__FRACTION": "0",
    }
    with Worker(tmp_path, settings) as worker:
        shop(kafka)
        kinds = {trigger["kind"] for trigger in received(kafka, 2)}
        assert kinds == {"exit_intent", "cart_abandonment"}
        with server.client() as client:
            wait_until(partial(client.exists, "cartwake:models"), "a model that has learnt")
        listed = run_cartwake("dead-letters", "list", settings=kafka.settings(OPERATOR))
        assert "1 dead letter: 1 unknown_type" in listed.stdout, listed.stderr
        replay = run_cartwake("dead-letters", "replay", settings=kafka.settings(OPERATOR))
        assert "sent back: 1 dead letter" in replay.stdout, replay.stderr
        wait_until(lambda: len(kafka.read_all("dead-letters")) == 2, "its second death")
        assert worker.is_ready()
        mailed, posted = (
            settings
            | kafka.settings(role, protocol, sasl_mechanism=mechanism)
            | (secured(server, role) if redis == "secure_redis" else {})
            for role in (EMAILER, WEBHOOKS)
        )
        customers = tmp_path / "customers.csv"
        customers.write_text(f"visitor,email\n{VISITOR},somebody@mail.example\n")
        with Mailbox() as mailbox, Emailer(tmp_path, mailed, mailbox.url, customers) as emailer:
            wait_until(lambda: mailbox.mails, "the mail")
        with closing(Endpoint()) as endpoint, webhooks(tmp_path, posted, endpoint) as poster:
            wait_until(lambda: endpoint.heard, "the trigger at the endpoint")
    assert "secret" not in worker.output + emailer.output + poster.output
    assert worker.wait() == 0


def test_a_refused_worker_says_so_in_one_line_and_ends(
    secure_kafka: SecureKafka, secure_redis: SecureRedis
) -> None:
    free = {"CARTWAKE_WORKER__METRICS_PORT": "0"}
    good = {**secure_kafka.settings(WORKER), **secured(secure_redis), **free}
    for setting, told in (
        ("CARTWAKE_KAFKA__SASL_PASSWORD", "Kafka at .* refuses this login of cartwake-worker by"),
        ("CARTWAKE_REDIS__PASSWORD", "Redis at .* refuses this login: invalid username-password"),
    ):
        ended = run_cartwake("worker", settings=good | {setting: "wrong-secret"})
        assert ended.returncode == 1
        last = ended.stderr.splitlines()[-1]
        assert told.split(" .* ")[1] in last
        assert last.startswith(f"cartwake: {told.split(' .* ')[0]} ")
        assert "secret" not in ended.stderr


READS = {
    WORKER: {*LANES, "training-examples"},
    OPERATOR: {"dead-letters"},
    STOREFRONT: set(),
    EMAILER: {"consent-events", "triggers", "trigger-cancels", "message-feedback"},
    WEBHOOKS: {"triggers", "trigger-cancels", "message-feedback"},
    EDGE: {"triggers", "trigger-cancels"},
    AUTOSCALER: set(),
}
WRITES = {
    WORKER: {*OUT, "visitor-facts"},
    OPERATOR: set(LANES),
    STOREFRONT: FROM_SHOPS,
    EMAILER: {"message-feedback"},
    WEBHOOKS: {"message-feedback"},
    EDGE: {*FROM_SHOPS, "message-feedback"},
    AUTOSCALER: set(),
}
GROUPS = {
    WORKER: {"cartwake"},
    OPERATOR: set(),
    STOREFRONT: set(),
    EMAILER: {"emailer"},
    WEBHOOKS: {"webhooks.crm"},
    EDGE: set(),
    AUTOSCALER: set(),
}
# Who is in a group, and how far it is, the operator sees as well, and whoever scales the workers.
SEES = GROUPS | {OPERATOR: {"cartwake"}, AUTOSCALER: {"cartwake"}}
REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_and_writes_its_topics_and_no_others(
    roles_kafka: SecureKafka, role: str
) -> None:
    assert writable(roles_kafka, role) == WRITES[role]
    assert readable(roles_kafka, role) == READS[role]


def writable(kafka: SecureKafka, role: str) -> set[str]:
    """Return the topics that took a record of this role; all others have refused it."""
    outcomes: dict[str, KafkaError | None] = {}
    producer = Producer(
        kafka.client_options(role)
        | {"on_delivery": lambda error, message: outcomes.setdefault(message.topic(), error)}
    )
    for topic in ALL:
        producer.produce(topic, b"{}", partition=0)
    assert producer.flush(30) == 0
    assert {error.code() for error in outcomes.values() if error} <= REFUSED
    return {topic for topic, error in outcomes.items() if error is None}


def readable(kafka: SecureKafka, role: str) -> set[str]:
    """Return the topics that this role can fetch from; all others have refused it."""
    options = {"group.id": "nobody", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer(kafka.client_options(role) | options)
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING) for topic in ALL])
    outcomes: dict[str, int] = {}
    try:
        # Of others it does not even hear.
        visible = {topic for topic in consumer.list_topics(timeout=30).topics if topic in ALL}
        until = time.monotonic() + 30
        while not visible <= outcomes.keys() and time.monotonic() < until:
            message = consumer.poll(0.5)
            if message is not None and (error := message.error()):
                outcomes.setdefault(message.topic(), error.code())
    finally:
        consumer.close()
    read = {topic for topic, code in outcomes.items() if code == KafkaError._PARTITION_EOF}
    assert {outcomes[topic] for topic in visible - read} <= REFUSED
    return read


Change = Callable[[AdminClient], Any]
TOPIC = ConfigResource(ResourceType.TOPIC, "page-views")
ANY_ACL = AclBindingFilter(
    ResourceType.ANY,
    None,
    ResourcePatternType.ANY,
    None,
    None,
    AclOperation.ANY,
    AclPermissionType.ANY,
)
# What nobody here may do, and what the operator alone may.
FORBIDDEN: dict[str, Change] = {
    "make another topic": lambda admin: admin.create_topics([NewTopic("other", 1, 1)]),
    "delete a topic": lambda admin: admin.delete_topics(["page-views"]),
    "take rights": lambda admin: admin.delete_acls([ANY_ACL]),
    "see a broker's settings": lambda admin: admin.describe_configs(
        [ConfigResource(ResourceType.BROKER, "1")]
    ),
    "delete a group": lambda admin: admin.delete_consumer_groups(["other"]),
}
OPERATORS: dict[str, Change] = {
    "see a topic's settings": lambda admin: admin.describe_configs([TOPIC]),
    "make partitions": lambda admin: admin.create_partitions([NewPartitions("decisions", 100)]),
}


def allows(change: Change, admin: AdminClient) -> bool:
    """Return whether a change is let through."""
    try:
        asked = change(admin)
        for done in asked.values() if isinstance(asked, dict) else [asked]:
            done.result(30)
    except KafkaException as error:
        if error.args[0].code() not in REFUSED:
            raise
        return False
    return True


@pytest.mark.parametrize("role", ROLES)
def test_a_role_administers_nothing_but_what_the_operator_must(
    roles_kafka: SecureKafka, role: str
) -> None:
    admin = roles_kafka.role(role)
    assert [name for name, change in FORBIDDEN.items() if allows(change, admin)] == []
    allowed = [name for name, change in OPERATORS.items() if allows(change, admin)]
    assert allowed == (list(OPERATORS) if role == OPERATOR else [])
    groups = ("cartwake", "emailer", "webhooks", "webhooks.crm", "other")
    assert {group for group in groups if sees(admin, group)} == SEES[role]
    assert {group for group in groups if joins(admin, group)} == GROUPS[role]


def test_who_scales_the_workers_sees_the_ends_of_the_inputs_alone(
    roles_kafka: SecureKafka,
) -> None:
    admin = roles_kafka.role(AUTOSCALER)
    seen = [topic for topic in admin.list_topics(timeout=30).topics if topic in ALL]
    assert set(seen) == set(LANES)
    ends = admin.list_offsets({TopicPartition(topic, 0): OffsetSpec.latest() for topic in seen})
    assert all(end.result(30).offset >= 0 for end in ends.values())


def sees(admin: AdminClient, group: str) -> bool:
    """Return whether a role may look at a consumer group."""
    asked = [ConsumerGroupTopicPartitions(group, [TopicPartition("triggers", 0)])]
    return allows(lambda one: one.list_consumer_group_offsets(asked), admin)


def joins(admin: AdminClient, group: str) -> bool:
    """Return whether a role may read in a consumer group, as the broker itself tells it."""
    if not sees(admin, group):
        return False
    asked = admin.describe_consumer_groups([group], include_authorized_operations=True)
    return AclOperation.READ in asked[group].result(30).authorized_operations


def operators(kafka: SecureKafka, redis: SecureRedis) -> dict[str, str]:
    """Return the settings of the person who runs it."""
    return {
        **kafka.settings(OPERATOR),
        "CARTWAKE_REDIS__URL": redis.url_of(OPERATOR),
        "CARTWAKE_REDIS__PASSWORD": password(OPERATOR),
        "CARTWAKE_REDIS__SSL_CAFILE": str(redis.certificates.ca),
    }


def test_the_operator_may_ask_what_doctor_and_status_ask(
    kafka: SecureKafka, secure_redis: SecureRedis, tmp_path: Path
) -> None:
    with secure_redis.client() as client:
        client.flushall()
        client.config_set("maxmemory", "100mb")
    own = operators(kafka, secure_redis)
    with Worker(tmp_path, {**kafka.settings(WORKER), **secured(secure_redis)}):
        looks = [run_cartwake("doctor", settings=own)]
        while "rebalance" in looks[-1].stdout.lower() and len(looks) < 10:  # it may join once more
            looks.append(run_cartwake("doctor", settings=own))
        told = run_cartwake("status", "--json", settings=own)
    looked = looks[-1]
    assert looked.returncode == 0, looked.stdout
    assert "cartwake-operator has the rights of: operator\n" in looked.stdout
    assert "group cartwake: 1 worker, Stable" in looked.stdout, looked.stdout
    # An old Python is this machine's, not the operator's.
    assert "\nwarn" not in looked.stdout.replace("\nwarn  Python", ""), looked.stdout
    status = json.loads(told.stdout)
    assert status["totals"]["owned"] == status["totals"]["shards"] == len(status["shards"])
    assert "secret" not in looked.stdout + looked.stderr + told.stdout


def test_doctor_says_what_a_user_lacks_who_fits_no_role(
    kafka: SecureKafka, secure_redis: SecureRedis
) -> None:
    # A worker by its Redis user; by its Kafka user somebody who is told of no group.
    settings = {**kafka.settings(STOREFRONT), **secured(secure_redis)}
    looked = run_cartwake("doctor", settings=settings)
    assert looked.returncode == 1
    assert "FAIL  rights in Kafka: storefront has the rights of no role; for " in looked.stdout
    assert "FAIL  topic triggers: does not exist, or this user may not see it" in looked.stdout
    assert (
        "this user may not read those of cart-events, consent-events, page-views" in looked.stdout
    )
    assert "warn  group cartwake: cannot be described (Group authorization failed)" in looked.stdout
    assert "warn  rights in Redis: this user may not zcount" in looked.stdout


def test_the_rights_that_doctor_asks_for_are_those_that_the_script_gives(
    kafka: SecureKafka, secure_redis: SecureRedis
) -> None:
    for role, name in (
        (WORKER, "worker"),
        (EDGE, "edge"),
        (EMAILER, "emailer, webhooks"),
        (WEBHOOKS, "webhooks"),
        (OPERATOR, "operator"),
    ):
        settings = kafka.settings(role) | secured(secure_redis)
        looked = run_cartwake("doctor", settings=settings)
        assert f"{role} has the rights of: {name}\n" in looked.stdout
