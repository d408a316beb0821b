"""What is to be said of one topic.

The one rule: each thing that does not fit is a line of its own; a topic that fits is one line.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from stream.adapters.kafka.describe import TopicMetadata
from stream.adapters.kafka.options import LARGEST_REQUEST_BYTES
from stream.adapters.kafka.topic_rules import (
    LARGEST_BYTES,
    MIB,
    RETENTION_DAYS,
    kept,
    largest,
    partitions,
    retention_ms,
)
from stream.adapters.wire.outgoing import TRAINING_EXAMPLES
from stream.admin.finding import Finding, fail, ok, warn
from stream.admin.kafka_survey import KafkaSurvey
from stream.config.settings import Settings
from stream.domain.events import TOPICS
from stream.domain.policy import DAY_MS, HOUR_MS, TOMBSTONE_LIFE_MS

# A worker that stands still for longer than this loses events; a weekend is longer than a day.
LEAST_MS: Final = DAY_MS
WEEKEND_MS: Final = 3 * DAY_MS
FEW: Final = 2

Problems = Iterator[Finding]


def judge(name: str, survey: KafkaSurvey, settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with a topic, or that it is as it should be."""
    what, config, told = f"topic {name}", survey.configs.get(name), survey.topics.get(name)
    is_backfill = settings.worker.clock == "records" and name in TOPICS
    problems = list(_led(what, name, survey))
    if told is not None:
        problems += _copies(what, told, survey.brokers, settings.kafka.replication)
    if told is not None and config is not None:
        problems += _written(what, told, int(config["min.insync.replicas"]))
    if config is not None:
        problems += _kept(name, config, is_backfill=is_backfill)
        problems += _bounded(what, config)
        problems += () if name in TOPICS else _size(what, config)
    yield from problems or [ok(what, _fine(survey.counts[name], config, told))]


def _fine(count: int, config: Mapping[str, str] | None, told: TopicMetadata | None) -> str:
    parts = [partitions(count)]
    if config is not None:
        parts += [kept(config), largest(config)]
    if told is not None:
        parts.append(f"{told.copies} cop{'y' if told.copies == 1 else 'ies'}")
    return ", ".join(parts)


def _led(what: str, name: str, survey: KafkaSurvey) -> Problems:
    if absent := survey.leaderless[name]:
        found = f"nobody leads {absent} of {partitions(survey.counts[name])}"
        yield fail(what, found, "start the brokers that hold them")


def _copies(what: str, told: TopicMetadata, brokers: int, wanted: int) -> Problems:
    have = f"{told.copies} cop{'y' if told.copies == 1 else 'ies'}"
    if told.in_sync < told.copies:
        found = f"a partition has only {told.in_sync} of its {told.copies} copies in step"
        yield warn(what, found, "look for the broker that is away or slow")
    if told.copies < wanted:
        found = f"{have}, but kafka.replication is {wanted}"
        yield warn(what, found, "give it more replicas (kafka-reassign-partitions.sh)")
    elif told.copies == 1 and brokers > 1:
        found = f"{have} on {brokers} brokers: the loss of one loses records"
        yield warn(
            what, found, "set kafka.replication, give it more (kafka-reassign-partitions.sh)"
        )


def _written(what: str, told: TopicMetadata, least: int) -> Problems:
    if told.in_sync < least:
        found = f"takes no records: min.insync.replicas is {least}, in step are {told.in_sync}"
        yield fail(what, found, "start brokers, or lower min.insync.replicas below the copies")
    elif told.copies > 1 and least == told.copies:
        found = f"min.insync.replicas is {least} of {told.copies} copies: any broker away stops it"
        yield warn(what, found, f"set min.insync.replicas to {least - 1}")
    elif told.copies > FEW and least == 1:
        found = "min.insync.replicas is 1: an acknowledged record may be lost with one broker"
        yield warn(what, found, f"set min.insync.replicas to {told.copies - 1}")


def _kept(name: str, config: Mapping[str, str], *, is_backfill: bool) -> Problems:
    what, kept_ms = f"topic {name}", retention_ms(config)
    do = f"set retention.ms={RETENTION_DAYS[name] * DAY_MS}"
    told = "for ever" if kept_ms is None else _long(kept_ms)
    if "compact" in config["cleanup.policy"]:
        found = "is compacted: of each visitor the last record alone is kept"
        yield fail(what, found, "set cleanup.policy=delete")
    elif kept_ms is not None and kept_ms < WEEKEND_MS:
        say = fail if kept_ms < LEAST_MS else warn
        yield say(what, f"kept {told}: what is not read by then is lost", do)
    elif name == TRAINING_EXAMPLES or is_backfill:
        return
    elif kept_ms is None or kept_ms > TOMBSTONE_LIFE_MS:
        found = f"kept {told}, and an erasure is remembered for {TOMBSTONE_LIFE_MS // DAY_MS} days"
        yield warn(what, found, f"{do}: it is personal data")


def _long(kept_ms: int) -> str:
    in_hours = kept_ms < DAY_MS
    return f"{kept_ms / (HOUR_MS if in_hours else DAY_MS):.3g} {'hours' if in_hours else 'days'}"


def _bounded(what: str, config: Mapping[str, str]) -> Problems:
    if (most := int(config["retention.bytes"])) >= 0:
        found = f"deletes what is beyond {most} bytes of a partition, however young"
        yield warn(what, found, "set retention.bytes=-1")


def _size(what: str, config: Mapping[str, str]) -> Problems:
    if int(config["max.message.bytes"]) < LARGEST_REQUEST_BYTES:
        found = f"{largest(config)}, but as much as {LARGEST_BYTES / MIB:g} MiB may be sent"
        yield warn(what, found, f"set max.message.bytes={LARGEST_BYTES}")
