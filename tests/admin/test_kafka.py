"""The findings about Kafka, by table; no broker is asked."""

import pytest
from aiokafka import TopicPartition
from msgspec import structs

from stream.adapters.kafka.describe import Group, Member, TopicMetadata
from stream.admin.finding import Severity
from stream.admin.kafka import check_kafka, shard_count
from stream.config.settings import KafkaSettings, Settings, WorkerSettings
from tests.admin import healthy

SETTINGS = Settings()
DAY_MS = healthy.DAY_MS
PAGES = "topic page-views"


def findings(survey, settings=SETTINGS):
    return list(check_kafka(survey, settings))


def line(survey, settings=SETTINGS):
    """Return the one line that is not ok."""
    [finding] = [one for one in findings(survey, settings) if one.severity is not Severity.OK]
    assert finding.remedy
    return str(finding)


def topics(**changed):
    """Return the descriptions of all topics, with other values for page-views."""
    return healthy.kafka().topics | {
        "page-views": TopicMetadata(
            **({"replicas": 3, "in_sync": 3, "allowed": healthy.ALL, "id": "4f1c"} | changed)
        )
    }


def test_a_healthy_kafka_is_ok_in_every_line():
    lines = [str(finding) for finding in findings(healthy.kafka())]
    assert all(text.startswith("ok    ") and " -> " not in text for text in lines)
    assert "ok    inputs: 12 partitions each" in lines
    assert f"ok    {PAGES}: 12 partitions, kept 7 days, records up to 1 MiB, 3 replicas" in lines
    assert "ok    topic training-examples: 1 partition, kept 90 days" in "\n".join(lines)


@pytest.mark.parametrize(
    ("fetches", "spoken"),
    [
        (18, "protocol of 4.1"),
        (99, "protocol of 4.1"),
        (17, "protocol of 3.9"),
        (14, "protocol of 3.1"),
        (4, "unknown version"),
    ],
)
def test_the_version_is_reported_if_it_is_known(fetches, spoken):
    assert findings(healthy.kafka(fetches=fetches))[0].observed.endswith(f"3 brokers, {spoken}")


def test_a_broker_without_topic_ids_is_worth_a_warning():
    without = {name: structs.replace(it, id="") for name, it in healthy.kafka().topics.items()}
    text = line(healthy.kafka(topics=without))
    assert text.startswith("warn  Kafka: ")
    assert "older than 2.8" in text


@pytest.mark.parametrize(
    ("missing", "mark"),
    [("page-views", "FAIL"), ("training-examples", "FAIL"), ("message-feedback", "FAIL")],
)
def test_a_missing_topic_is_named(missing, mark):
    counts = {name: n for name, n in healthy.COUNTS.items() if name != missing}
    text = line(healthy.kafka(counts=counts))
    assert text.startswith(
        f"{mark:<4}  topic {missing}: does not exist, or this user may not see it"
    )
    assert "cartwake topics create" in text


def test_inputs_of_different_counts_fail():
    survey = healthy.kafka(counts=healthy.COUNTS | {"page-views": 6})
    text = line(survey)
    assert text.startswith("FAIL  inputs: ")
    assert "cart-events 12, page-views 6" in text
    assert shard_count(survey) is None
    assert shard_count(healthy.kafka()) == 12


def test_triggers_of_another_count_keep_those_alone_from_running_who_act_on_them():
    text = line(healthy.kafka(counts=healthy.COUNTS | {"triggers": 6}))
    assert text.startswith("warn  topics: ")
    assert "cartwake emailer and webhooks refuse to start on them" in text
    decisions = findings(healthy.kafka(counts=healthy.COUNTS | {"decisions": 6}))
    assert all(one.severity is Severity.OK for one in decisions)


@pytest.mark.parametrize(
    ("changed", "mark", "words"),
    [
        ({"retention_ms": "5400000"}, "FAIL", "kept 1.5 hours: records not read by then are lost"),
        ({"retention_ms": str(DAY_MS - 1)}, "FAIL", "lost -> set retention.ms=604800000"),
        ({"retention_ms": str(DAY_MS)}, "warn", "kept 1 days"),
        ({"retention_ms": str(31 * DAY_MS)}, "warn", "erasures are remembered for 30 days"),
        ({"retention_ms": "-1"}, "warn", "kept for ever, but erasures"),
        ({"cleanup_policy": "compact"}, "FAIL", "is compacted"),
        ({"cleanup_policy": "compact,delete"}, "FAIL", "set cleanup.policy=delete"),
        ({"retention_bytes": "1000000"}, "warn", "beyond 1000000 bytes"),
        ({"min_insync_replicas": "4"}, "FAIL", "accepts no records: min.insync.replicas is 4"),
        ({"min_insync_replicas": "3"}, "warn", "one broker down stops all writes"),
        ({"min_insync_replicas": "1"}, "warn", "may be lost with one broker"),
    ],
)
def test_a_topic_s_settings_are_checked(changed, mark, words):
    text = line(healthy.kafka_with("page-views", **changed))
    assert text.startswith(f"{mark:<4}  {PAGES}: ")
    assert words in text


@pytest.mark.parametrize("days", [3, 7, 30])
def test_a_topic_that_is_kept_for_days_is_ok(days):
    survey = healthy.kafka_with("page-views", retention_ms=str(days * DAY_MS))
    assert all(finding.severity is Severity.OK for finding in findings(survey))


def test_examples_and_the_inputs_of_a_backfill_may_be_kept_for_ever():
    survey = healthy.kafka_with("training-examples", retention_ms="-1")
    assert all(finding.severity is Severity.OK for finding in findings(survey))
    survey = healthy.kafka_with("page-views", retention_ms="-1")
    backfill = Settings(worker=WorkerSettings(clock="records"))
    assert all(finding.severity is Severity.OK for finding in findings(survey, backfill))


def test_what_is_published_needs_room():
    assert "producers send up to 2 MiB -> set max.message.bytes=2097152" in line(
        healthy.kafka_with("triggers", max_message_bytes="1048588")
    )


def test_a_dead_letter_that_finds_no_place_fails():
    text = line(healthy.kafka_with("page-views", max_message_bytes="4000000"))
    assert text.startswith("FAIL  dead letters: ")


@pytest.mark.parametrize(
    ("survey", "mark", "words"),
    [
        (
            {"leaderless": healthy.kafka().leaderless | {"page-views": 2}},
            "FAIL",
            "2 of 12 partitions without a leader",
        ),
        ({"topics": topics(in_sync=2)}, "warn", "only 2 of its 3 replicas in sync"),
        ({"topics": topics(replicas=2, in_sync=2)}, "warn", "one broker down stops all writes"),
    ],
)
def test_replicas_and_leaders_are_checked(survey, mark, words):
    text = line(healthy.kafka(**survey))
    assert text.startswith(f"{mark:<4}  {PAGES}: ")
    assert words in text


def test_fewer_copies_than_the_settings_want_are_findings():
    survey = healthy.kafka(topics=topics(replicas=1, in_sync=1))
    survey.configs["page-views"]["min.insync.replicas"] = "1"
    wants_three = Settings(kafka=KafkaSettings(replication=3))
    assert "1 replica, but kafka.replication is 3" in line(survey, wants_three)
    assert "1 replica on 3 brokers" in line(survey)
    # With a single broker there can be no more, and nobody has asked for more.
    assert all(one.severity is Severity.OK for one in findings(structs.replace(survey, brokers=1)))


def test_settings_that_cannot_be_read_are_no_failure():
    survey = healthy.kafka(configs={}, unreadable=dict.fromkeys(healthy.COUNTS, "not authorized"))
    text = line(survey)
    assert text.startswith("warn  settings of topics: ")
    assert "with the operator's rights" in text


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (Group("Dead"), "ok    group cartwake: no worker runs"),
        (
            Group("Stable", (Member("a", "10.0.0.1", frozenset({TopicPartition("x", 0)})),)),
            "ok    group cartwake: 1 worker, Stable",
        ),
    ],
)
def test_the_workers_are_counted(group, words):
    assert str(findings(healthy.kafka(group=group))[-1]) == words
