"""Checks one topic: a line for each problem, or one line if there is none."""

from collections.abc import Iterator, Mapping
from typing import Final

from stream.adapters.kafka.describe import TopicMetadata
from stream.adapters.kafka.options import LARGEST_REQUEST_BYTES
from stream.adapters.kafka.topic_rules import (
    FROM_OUTSIDE,
    LARGEST_BYTES,
    MIB,
    kept,
    largest,
    partitions,
    retention_ms,
)
from stream.admin.finding import Finding, fail, ok, warn
from stream.admin.kafka_survey import KafkaSurvey
from stream.config.settings import Settings
from stream.domain.policy import DAY_MS, HOUR_MS, TOMBSTONE_LIFE_MS
from stream.domain.topics import LANES, TOPICS

# A worker that is down for longer than this loses events; a weekend is longer than a day.
LEAST_MS: Final = DAY_MS
WEEKEND_MS: Final = 3 * DAY_MS
FEW: Final = 2

Problems = Iterator[Finding]


def check_topic(name: str, survey: KafkaSurvey, settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with a topic, or that it is in order."""
    subject, config, topic = f"topic {name}", survey.configs.get(name), survey.topics.get(name)
    is_backfill = settings.worker.clock == "records" and name in LANES
    problems = list(_led(subject, name, survey))
    if topic is not None:
        problems += _replicas(subject, topic, survey.brokers, settings.kafka.replication)
    if topic is not None and config is not None:
        problems += _writable(subject, topic, int(config["min.insync.replicas"]))
    if config is not None:
        problems += _kept(name, config, is_backfill=is_backfill)
        problems += _bounded(subject, config)
        problems += () if name in FROM_OUTSIDE else _size(subject, config)
    yield from problems or [ok(subject, _fine(survey.counts[name], config, topic))]


def _fine(count: int, config: Mapping[str, str] | None, topic: TopicMetadata | None) -> str:
    parts = [partitions(count)]
    if config is not None:
        parts += [kept(config), largest(config)]
    if topic is not None:
        parts.append(_count(topic.replicas))
    return ", ".join(parts)


def _led(subject: str, name: str, survey: KafkaSurvey) -> Problems:
    if absent := survey.leaderless[name]:
        observed = f"{absent} of {partitions(survey.counts[name])} without a leader"
        yield fail(subject, observed, "start the brokers that hold them")


def _count(replicas: int) -> str:
    return f"{replicas} replica{'' if replicas == 1 else 's'}"


def _replicas(subject: str, topic: TopicMetadata, brokers: int, wanted: int) -> Problems:
    if topic.in_sync < topic.replicas:
        observed = f"a partition has only {topic.in_sync} of its {topic.replicas} replicas in sync"
        yield warn(subject, observed, "find the broker that is down or slow")
    if topic.replicas < wanted:
        observed = f"{_count(topic.replicas)}, but kafka.replication is {wanted}"
        yield warn(subject, observed, "add replicas (kafka-reassign-partitions.sh)")
    elif topic.replicas == 1 and brokers > 1:
        observed = f"{_count(topic.replicas)} on {brokers} brokers: the loss of one loses records"
        yield warn(
            subject,
            observed,
            "set kafka.replication, and add replicas (kafka-reassign-partitions.sh)",
        )


def _writable(subject: str, topic: TopicMetadata, least: int) -> Problems:
    if topic.in_sync < least:
        observed = (
            f"accepts no records: min.insync.replicas is {least}, in sync are {topic.in_sync}"
        )
        yield fail(
            subject, observed, "start brokers, or set min.insync.replicas below the replicas"
        )
    elif topic.replicas > 1 and least == topic.replicas:
        observed = (
            f"min.insync.replicas is {least} of {topic.replicas}: one broker down stops all writes"
        )
        yield warn(subject, observed, f"set min.insync.replicas to {least - 1}")
    elif topic.replicas > FEW and least == 1:
        observed = "min.insync.replicas is 1: an acknowledged record may be lost with one broker"
        yield warn(subject, observed, f"set min.insync.replicas to {topic.replicas - 1}")


def _kept(name: str, config: Mapping[str, str], *, is_backfill: bool) -> Problems:
    subject, kept_ms = f"topic {name}", retention_ms(config)
    remedy = f"set retention.ms={TOPICS[name].retention_days * DAY_MS}"
    kept_for = "for ever" if kept_ms is None else _long(kept_ms)
    if "compact" in config["cleanup.policy"]:
        observed = "is compacted: only the last record of each visitor is kept"
        yield fail(subject, observed, "set cleanup.policy=delete")
    elif kept_ms is not None and kept_ms < WEEKEND_MS:
        say = fail if kept_ms < LEAST_MS else warn
        yield say(subject, f"kept {kept_for}: records not read by then are lost", remedy)
    elif not TOPICS[name].is_personal or is_backfill:
        return
    elif kept_ms is None or kept_ms > TOMBSTONE_LIFE_MS:
        observed = (
            f"kept {kept_for}, but erasures are remembered for {TOMBSTONE_LIFE_MS // DAY_MS} days"
        )
        yield warn(subject, observed, f"{remedy}: it is personal data")


def _long(kept_ms: int) -> str:
    in_hours = kept_ms < DAY_MS
    return f"{kept_ms / (HOUR_MS if in_hours else DAY_MS):.3g} {'hours' if in_hours else 'days'}"


def _bounded(subject: str, config: Mapping[str, str]) -> Problems:
    if (most := int(config["retention.bytes"])) >= 0:
        observed = f"deletes records beyond {most} bytes of a partition, whatever their age"
        yield warn(subject, observed, "set retention.bytes=-1")


def _size(subject: str, config: Mapping[str, str]) -> Problems:
    if int(config["max.message.bytes"]) < LARGEST_REQUEST_BYTES:
        observed = f"{largest(config)}, but producers send up to {LARGEST_BYTES / MIB:g} MiB"
        yield warn(subject, observed, f"set max.message.bytes={LARGEST_BYTES}")
