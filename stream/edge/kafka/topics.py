"""The topics: made as the contract has them, verified, and asked for by a starting worker.

The one rule: what exists is never changed. Partitions and retention of a topic in use are its
operators' to change; here they are looked at and spoken of.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import TopicAlreadyExistsError

from stream.domain.events import TOPICS
from stream.domain.policy import DAY_MS
from stream.edge.kafka.options import client_options
from stream.edge.kafka.reach import (
    ANSWER_S,
    Unreachable,
    asked,
    metadata,
    partition_counts,
    refuse,
)
from stream.edge.outgoing import (
    DEAD_LETTERS,
    DECISIONS,
    TRAINING_EXAMPLES,
    TRIGGER_CANCELS,
    TRIGGERS,
)
from stream.settings import Kafka, Settings

ADMIN_MS: Final = 30_000
RETRY_S: Final = 1.0
LOOK_AGAIN_S: Final = 0.1

MIB: Final = 2**20
# What is published: a dead letter may be as large as Kafka takes by default, and has headers. All
# other topics out take as much, because a refusal by the broker leaves an idempotent producer of
# aiokafka unable to go on: its own limit has to be the lowest.
LARGEST_BYTES: Final = 2 * MIB
HEADERS_BYTES: Final = 16 * 1024

RETENTION_DAYS: Final[Mapping[str, int]] = {
    # From these a lost Redis is rebuilt, and a worker that stood still catches up; they hold
    # personal data, so no longer than an outage over a week of holidays needs.
    **dict.fromkeys(TOPICS, 7),
    # As long, so that whoever reads them may be away for as long.
    TRIGGERS: 7,
    DECISIONS: 7,
    TRIGGER_CANCELS: 7,
    # Somebody has to notice, mend the producer and send them back. Not beyond the 30 days for
    # which an erasure is remembered, less the day by which an event may be late and the day that
    # a segment spans: an erased visitor's records must be gone while they would be refused.
    DEAD_LETTERS: 28,
    # They identify nobody; a new recipe learns from them again.
    TRAINING_EXAMPLES: 90,
}
# Kafka deletes whole segments, so a record outlives its retention by what a segment spans.
SEGMENT_MS: Final = DAY_MS

ASKED: Final = ("cleanup.policy", "max.message.bytes", "retention.ms")

Say = Callable[[str], None]


def create(settings: Settings, say: Say = print) -> int:
    """Make what is missing, check all, tell of each topic in one line; return the exit code.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached or refuses, or a topic that was there does not fit.
    """
    asked(settings, _create(settings, say))
    return 0


def check(settings: Settings, say: Say = print) -> int:
    """Verify all topics, tell of each in one line; return the exit code.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached, or something does not fit: all of it is named.
    """
    asked(settings, _check(settings, say))
    return 0


async def require(settings: Settings, waiting: Say) -> int:
    """Return the partition count of the inputs; wait as long as Kafka cannot be reached.

    ``waiting`` is told once. It takes no more than a look at metadata, as any client needs.

    Raises
    ------
    CartwakeError
        Topics are missing, or the inputs' partition counts differ.
    """
    counts = await _patiently(settings, waiting)
    refuse(settings, [*_missing(counts), *_uneven(counts)])
    return counts[next(iter(TOPICS))]


async def _patiently(settings: Settings, waiting: Say) -> dict[str, int]:
    said = False
    while True:
        try:
            return partition_counts(await metadata(settings))
        except Unreachable as away:
            if not said:
                waiting(f"{away}; trying again until it can")
            said = True
            await asyncio.sleep(RETRY_S)


async def _create(settings: Settings, say: Say) -> None:
    known = partition_counts(await metadata(settings))
    refuse(settings, _at_odds(known, settings.kafka))
    missing = [_new_topic(name, settings) for name in RETENTION_DAYS if name not in known]
    made = await _make(settings, missing) if missing else {}
    for name in RETENTION_DAYS:
        is_new = name in made
        say(f"{name}: {f'made, {_partitions(made[name])}' if is_new else 'exists, left as it is'}")
    await _check(settings, lambda _: None)


async def _make(settings: Settings, topics: list[NewTopic]) -> dict[str, int]:
    """Make topics and return their partition counts, but not those that somebody else just made."""
    async with _admin(settings) as admin:
        answer = await admin.create_topics(topics)
    outcomes = {name: (code, *why) for name, code, *why in answer.topic_errors}
    refuse(settings, _not_made(outcomes))
    await _are_led(settings, [topic.name for topic in topics])
    return {topic.name: topic.num_partitions for topic in topics if not outcomes[topic.name][0]}


def _new_topic(name: str, settings: Settings) -> NewTopic:
    kafka = settings.kafka
    # A backfill's records are old when they are produced: Kafka would delete them unread.
    is_backfill = settings.worker.clock == "records" and name in TOPICS
    config = {
        "cleanup.policy": "delete",
        "retention.ms": "-1" if is_backfill else str(RETENTION_DAYS[name] * DAY_MS),
        "segment.ms": str(SEGMENT_MS),
        # With three copies two are written before a record counts as stored.
        "min.insync.replicas": str(max(1, kafka.replication - 1)),
    }
    if name not in TOPICS:
        config["max.message.bytes"] = str(LARGEST_BYTES)
    return NewTopic(name, _count(name, kafka), kafka.replication, topic_configs=config)


def _count(name: str, kafka: Kafka) -> int:
    # The trainer learns from one log in one order.
    return 1 if name == TRAINING_EXAMPLES else kafka.partitions


def _at_odds(known: Mapping[str, int], kafka: Kafka) -> Iterable[str]:
    """Tell, before anything is made, which inputs the missing ones would not fit to."""
    if not TOPICS.keys() <= known.keys():
        for name in TOPICS:
            if known.get(name, kafka.partitions) != kafka.partitions:
                have = _partitions(known[name])
                yield f"{name} exists with {have}, but kafka.partitions is {kafka.partitions}"


def _not_made(outcomes: Mapping[str, tuple[Any, ...]]) -> Iterable[str]:
    for name, (code, *why) in outcomes.items():
        if code not in (0, TopicAlreadyExistsError.errno):
            yield f"{name} was not made: {(why and why[0]) or f'error {code}'}"


async def _are_led(settings: Settings, names: Iterable[str]) -> None:
    """Return once every partition has a leader, a moment after it was made."""
    clock = asyncio.get_running_loop().time
    until = clock() + ANSWER_S
    while late := _leaderless(await metadata(settings), names):
        if clock() > until:
            refuse(settings, [f"no broker leads {', '.join(late)}, which were made"])
        await asyncio.sleep(LOOK_AGAIN_S)


def _leaderless(cluster: ClusterMetadata, names: Iterable[str]) -> list[str]:
    return [
        name
        for name in names
        if not (led := cluster.available_partitions_for_topic(name))
        or led != cluster.partitions_for_topic(name)
    ]


async def _check(settings: Settings, say: Say) -> None:
    counts = partition_counts(await metadata(settings))
    found = [name for name in RETENTION_DAYS if name in counts]
    configs = await _configs(settings, found)
    for name in found:
        kept, largest = _kept(configs[name]), _largest(configs[name])
        say(f"{name}: {_partitions(counts[name])}, {kept}, {largest}")
    refuse(settings, [*_missing(counts), *_uneven(counts), *_too_small(configs)])


async def _configs(settings: Settings, names: Iterable[str]) -> dict[str, dict[str, str]]:
    kind = ConfigResourceType.TOPIC
    wanted = [ConfigResource(kind, name, dict.fromkeys(ASKED)) for name in names]
    if not wanted:
        return {}
    async with _admin(settings) as admin:
        answers = await admin.describe_configs(wanted)
    configs: dict[str, dict[str, str]] = {}
    for code, why, _, name, entries in (one for answer in answers for one in answer.resources):
        if code:
            refuse(settings, [f"{name} does not tell its settings: {why or f'error {code}'}"])
        configs[name] = {key: value for key, value, *_ in entries}
    return configs


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options(settings.kafka), request_timeout_ms=ADMIN_MS)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _missing(counts: Mapping[str, int]) -> Iterable[str]:
    if missing := [name for name in RETENTION_DAYS if name not in counts]:
        yield f"no topic {', '.join(missing)}: make them with 'cartwake topics create'"


def _uneven(counts: Mapping[str, int]) -> Iterable[str]:
    inputs = {name: counts[name] for name in TOPICS if name in counts}
    if len(set(inputs.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in inputs.items())
        yield f"the inputs need equally many partitions, but have: {told}"


def _too_small(configs: Mapping[str, Mapping[str, str]]) -> Iterable[str]:
    limits = {name: int(config["max.message.bytes"]) for name, config in configs.items()}
    needed = max([limits[name] for name in TOPICS if name in limits], default=0) + HEADERS_BYTES
    if limits.get(DEAD_LETTERS, needed) < needed:
        yield (
            f"{DEAD_LETTERS} takes records up to {limits[DEAD_LETTERS]} bytes (max.message.bytes), "
            f"but an input's largest needs {needed} with its headers"
        )


def _retention_ms(config: Mapping[str, str]) -> int | None:
    """Return after how long records are deleted; None: never."""
    kept_ms = int(config["retention.ms"])
    return kept_ms if kept_ms >= 0 and "delete" in config["cleanup.policy"] else None


def _kept(config: Mapping[str, str]) -> str:
    kept_ms = _retention_ms(config)
    if kept_ms is None:  # right for a backfill, so not refused
        return "kept for ever (personal data should not be: set retention.ms)"
    return f"kept {kept_ms / DAY_MS:g} days"


def _largest(config: Mapping[str, str]) -> str:
    return f"records up to {int(config['max.message.bytes']) / MIB:.2g} MiB"


def _partitions(count: int) -> str:
    return f"{count} partition{'' if count == 1 else 's'}"
