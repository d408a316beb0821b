"""``cartwake topics`` on a real broker."""

import asyncio
import socket

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from stream.admin import topics
from stream.admin.topics import check, create
from stream.config.settings import KafkaSettings, Settings, WorkerSettings
from stream.domain.topics import LANES, TOPICS
from stream.errors import CartwakeError
from tests.rig.processes import LOOPBACK, free_port, run_cartwake

MIB = 2**20
DAY_MS = 86_400_000
NAMES = {
    "page-views",
    "cart-events",
    "consent-events",
    "triggers",
    "decisions",
    "trigger-cancels",
    "dead-letters",
    "training-examples",
    "message-feedback",
    "visitor-facts",
}
FINITE = {"retention.ms": str(DAY_MS)}


def settings_of(bootstrap: str, **more) -> Settings:
    return Settings(kafka=KafkaSettings(bootstrap=bootstrap, **more))


def told(command, settings) -> list[str]:
    lines: list[str] = []
    command(settings, lines.append)
    return lines


def refusal(command, settings) -> str:
    with pytest.raises(CartwakeError) as refused:
        command(settings, lambda _: None)
    assert refused.value.exit_code == 1
    assert "\n" not in str(refused.value)
    return str(refused.value)


def config_of(kafka, topic: str) -> dict[str, str]:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})  # answers only while it lives
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)])
    (answer,) = asked.values()
    return {name: entry.value for name, entry in answer.result(10).items()}


@pytest.fixture
def settings(empty_kafka) -> Settings:
    return settings_of(empty_kafka.bootstrap, partitions=3)


# create


def test_create_makes_the_topics_of_the_contract(empty_kafka, settings):
    lines = told(create, settings)
    assert empty_kafka.topics() == dict.fromkeys(NAMES, 3) | {"training-examples": 1}
    assert sorted(line.split(":")[0] for line in lines) == sorted(NAMES)
    assert "page-views: created, 3 partitions" in lines
    assert "training-examples: created, 1 partition" in lines


def test_what_create_makes_passes_the_check(settings):
    told(create, settings)
    lines = told(check, settings)
    assert sorted(line.split(":")[0] for line in lines) == sorted(NAMES)
    assert "cart-events: 3 partitions, kept 7 days, records up to 1 MiB" in lines
    assert "dead-letters: 3 partitions, kept 28 days, records up to 2 MiB" in lines


def test_every_topic_forgets(empty_kafka, settings):
    told(create, settings)
    for topic, row in TOPICS.items():
        config = config_of(empty_kafka, topic)
        assert (config["retention.ms"], config["cleanup.policy"]) == (
            str(row.retention_days * DAY_MS),
            "delete",
        )
        assert int(config["segment.ms"]) <= DAY_MS, "a record outlives its retention by a segment"


async def test_a_dead_letter_has_room_for_any_input_and_its_headers(empty_kafka, settings):
    await asyncio.to_thread(told, create, settings)
    largest = bytes(MIB - 60)  # 1 MiB with what Kafka puts around it
    headers = [("__streams.errors.message", b"x" * 1000)]
    producer = AIOKafkaProducer(bootstrap_servers=empty_kafka.bootstrap, max_request_size=2 * MIB)
    async with producer:
        await producer.send_and_wait("page-views", largest)
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait("page-views", largest, headers=headers)
        await producer.send_and_wait("dead-letters", largest, headers=headers)


def test_create_twice_changes_nothing(empty_kafka, settings):
    told(create, settings)
    before = empty_kafka.topics()
    lines = told(create, settings)
    assert set(lines) == {f"{name}: exists, not changed" for name in NAMES}
    assert empty_kafka.topics() == before


def test_create_leaves_an_existing_topic_alone(empty_kafka, settings):
    empty_kafka.create_topics(["page-views"], 3, {"retention.ms": "3600000"})
    lines = told(create, settings)
    assert "page-views: exists, not changed" in lines
    assert "cart-events: created, 3 partitions" in lines
    assert config_of(empty_kafka, "page-views")["retention.ms"] == "3600000"


def test_create_makes_nothing_beside_an_input_with_other_partitions(empty_kafka, settings):
    empty_kafka.create_topics(["page-views"], 2)
    why = refusal(create, settings)
    assert "page-views exists with 2 partitions, but kafka.partitions is 3" in why
    assert empty_kafka.topics() == {"page-views": 2}


def test_create_adds_no_topic_with_another_partition_count_than_the_others(empty_kafka, settings):
    told(create, settings)
    empty_kafka.delete_topics(["triggers"])
    why = refusal(create, settings_of(empty_kafka.bootstrap, partitions=12))
    assert "page-views exists with 3 partitions, but kafka.partitions is 12" in why
    assert "triggers" not in empty_kafka.topics()


def test_create_checks_what_it_leaves_alone(empty_kafka, settings):
    empty_kafka.create_topics(["dead-letters"], 3, {"max.message.bytes": str(MIB)})
    assert "dead-letters takes records up to 1048576 bytes" in refusal(create, settings)
    assert empty_kafka.topics().keys() == NAMES


def test_the_inputs_of_a_backfill_are_kept_however_old_their_records_are(empty_kafka, settings):
    told(create, settings.model_copy(update={"worker": WorkerSettings(clock="records")}))
    kept = {topic: config_of(empty_kafka, topic)["retention.ms"] for topic in NAMES}
    assert {topic for topic, ms in kept.items() if ms == "-1"} == set(LANES)


def test_a_topic_that_is_kept_for_ever_is_told(empty_kafka, settings):
    empty_kafka.create_topics(["triggers"], 3, {"retention.ms": "-1"})
    told(create, settings)
    [line] = [line for line in told(check, settings) if line.startswith("triggers:")]
    assert "kept for ever (personal data should not be: set retention.ms)" in line


def test_create_tells_why_kafka_refuses(empty_kafka):
    why = refusal(create, settings_of(empty_kafka.bootstrap, partitions=1, replication=3))
    assert "page-views was not created: " in why
    assert "replica" in why.lower()
    assert empty_kafka.topics() == {}


async def test_a_topic_that_another_operator_created_meanwhile_is_no_error(empty_kafka, settings):
    empty_kafka.create_topics(["page-views"], 3)
    new = [topics._new_topic(name, settings) for name in ("page-views", "triggers")]
    assert await topics._make(settings, new) == {"triggers": 3}


# check


def test_check_names_everything_that_does_not_fit(empty_kafka, settings):
    empty_kafka.create_topics(["page-views"], 2, FINITE)
    empty_kafka.create_topics(["cart-events", "consent-events"], 4, FINITE)
    empty_kafka.create_topics(["triggers", "decisions"], 4, FINITE)
    empty_kafka.create_topics(["dead-letters"], 4, FINITE | {"max.message.bytes": str(MIB)})
    empty_kafka.create_topics(["training-examples"], 4, FINITE)
    why = refusal(check, settings)
    absent = "visitor-facts, message-feedback, trigger-cancels"
    assert f"no topic {absent}: make them with 'cartwake topics create'" in why
    assert "equally many partitions, but have: consent-events 4, cart-events 4, page-views 2" in why
    assert "dead-letters takes records up to 1048576 bytes" in why
    assert why.startswith(f"Kafka at {empty_kafka.bootstrap}: ")


def test_check_warns_of_another_partition_count_than_new_topics_would_get(empty_kafka, settings):
    told(create, settings)
    lines = told(check, settings_of(empty_kafka.bootstrap, partitions=12))
    [line] = [line for line in lines if line.startswith("warning:")]
    assert "the topics have 3 partitions each, but kafka.partitions is 12: " in line
    assert line.endswith("'cartwake topics create' would refuse to add a topic")


def test_check_warns_of_outputs_with_another_partition_count_than_the_lanes(empty_kafka, settings):
    told(create, settings)
    empty_kafka.delete_topics(["triggers"])
    empty_kafka.create_topics(["triggers"], 5, FINITE | {"max.message.bytes": str(2 * MIB)})
    [line] = [line for line in told(check, settings) if line.startswith("warning:")]
    assert "triggers 5" in line
    assert line.endswith("cartwake emailer and webhooks refuse to start")


def test_check_makes_no_topics(empty_kafka, settings):
    refusal(check, settings)
    assert empty_kafka.topics() == {}


@pytest.mark.parametrize("command", [create, check])
def test_an_unreachable_kafka_is_named(command):
    address = f"{LOOPBACK}:{free_port()}"
    assert refusal(command, settings_of(address)) == f"Kafka at {address} cannot be reached"


def test_a_kafka_that_accepts_and_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr("stream.adapters.kafka.connect.ANSWER_S", 0.2)
    with socket.create_server((LOOPBACK, 0)) as silent:
        address = f"{LOOPBACK}:{silent.getsockname()[1]}"
        assert refusal(check, settings_of(address)) == f"Kafka at {address} cannot be reached"


def test_the_command_says_one_line_and_no_traceback(empty_kafka):
    place = {"CARTWAKE_KAFKA__BOOTSTRAP": empty_kafka.bootstrap, "CARTWAKE_KAFKA__PARTITIONS": "2"}
    made = run_cartwake("topics", "create", settings=place)
    assert (made.returncode, made.stderr) == (0, "")
    assert len(made.stdout.splitlines()) == len(NAMES)
    nobody = {"CARTWAKE_KAFKA__BOOTSTRAP": f"{LOOPBACK}:{free_port()}"}
    away = run_cartwake("topics", "check", settings=nobody)
    assert (away.returncode, away.stdout) == (1, "")
    assert (
        away.stderr
        == f"cartwake: Kafka at {nobody['CARTWAKE_KAFKA__BOOTSTRAP']} cannot be reached\n"
    )
