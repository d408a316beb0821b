"""The topics: made as the contract has them, verified, and asked for by a starting worker.

The one rule: what exists is never changed. Partitions and retention of a topic in use are its
operators' to change; here they are looked at and spoken of.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aiokafka.cluster import ClusterMetadata
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic

from stream.adapters.kafka.administer import admin_client, answer, ask, refusal_of, topic_configs
from stream.adapters.kafka.connect import ANSWER_S, Unreachable, metadata, partition_counts, refuse
from stream.adapters.kafka.topic_rules import (
    ACTED_ON,
    LARGEST_BYTES,
    kept,
    largest,
    missing,
    partitions,
    too_small,
    uneven,
)
from stream.config.settings import KafkaSettings, Settings
from stream.domain.policy import DAY_MS
from stream.domain.topics import LANES, MESSAGE_FEEDBACK, TOPICS

RETRY_S: Final = 1.0
LOOK_AGAIN_S: Final = 0.1

# Kafka deletes whole segments, so a record outlives its retention by what a segment spans.
SEGMENT_MS: Final = DAY_MS

Say = Callable[[str], None]


def create(settings: Settings, say: Say = print) -> int:
    """Make what is missing, check all, tell of each topic in one line; return the exit code.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached or refuses, or a topic that was there does not fit.
    """
    ask(settings, _create(settings, say))
    return 0


def check(settings: Settings, say: Say = print) -> int:
    """Verify all topics, tell of each in one line; return the exit code.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached, or something does not fit: all of it is named.
    """
    ask(settings, _check(settings, say))
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
    # A worker neither reads nor writes what the edge hears back.
    inputs = {name: counts[name] for name in LANES if name in counts}
    refuse(settings, [*missing({**counts, MESSAGE_FEEDBACK: 1}), *uneven(inputs)])
    return counts[next(iter(LANES))]


def require_even(settings: Settings, counts: Mapping[str, int]) -> None:
    """Refuse topics that whoever acts on triggers needs, and cannot read side by side.

    Raises
    ------
    CartwakeError
        All that is missing or does not fit is named.
    """
    known = {name: counts[name] for name in ACTED_ON if name in counts}
    refuse(settings, [*missing(known, ACTED_ON), *uneven(known, "the topics")])


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
    absent = [_new_topic(name, settings) for name in TOPICS if name not in known]
    made = await _make(settings, absent) if absent else {}
    for name in TOPICS:
        is_new = name in made
        say(f"{name}: {f'made, {partitions(made[name])}' if is_new else 'exists, left as it is'}")
    await _check(settings, lambda _: None)


async def _make(settings: Settings, topics: list[NewTopic]) -> dict[str, int]:
    """Make topics and return their partition counts, but not those that somebody else just made."""
    admin = admin_client(settings.kafka)
    made = {topic.topic: topic.num_partitions for topic in topics}
    problems: list[str] = []
    for name, future in admin.create_topics(topics, request_timeout=ANSWER_S).items():
        try:
            await answer(future)
        except KafkaException as error:
            del made[name]
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                problems.append(f"{name} was not made: {refusal_of(error)}")
    refuse(settings, problems)
    await _are_led(settings, [topic.topic for topic in topics])
    return made


def _new_topic(name: str, settings: Settings) -> NewTopic:
    kafka = settings.kafka
    # A backfill's records are old when they are produced: Kafka would delete them unread.
    is_backfill = settings.worker.clock == "records" and name in LANES
    config = {
        "cleanup.policy": "delete",
        "retention.ms": "-1" if is_backfill else str(TOPICS[name].retention_days * DAY_MS),
        "segment.ms": str(SEGMENT_MS),
        # With three copies two are written before a record counts as stored.
        "min.insync.replicas": str(max(1, kafka.replication - 1)),
    }
    if name not in LANES:
        config["max.message.bytes"] = str(LARGEST_BYTES)
    return NewTopic(name, _count(name, kafka), kafka.replication, config=config)


def _count(name: str, kafka: KafkaSettings) -> int:
    return 1 if TOPICS[name].has_one_partition else kafka.partitions


def _at_odds(known: Mapping[str, int], kafka: KafkaSettings) -> Iterable[str]:
    """Tell, before anything is made, which inputs the missing ones would not fit to."""
    if not LANES.keys() <= known.keys():
        for name in LANES:
            if known.get(name, kafka.partitions) != kafka.partitions:
                have = partitions(known[name])
                yield f"{name} exists with {have}, but kafka.partitions is {kafka.partitions}"


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
    found = [name for name in TOPICS if name in counts]
    configs, silent = await topic_configs(admin_client(settings.kafka), found)
    refuse(settings, (f"{name} does not tell its settings: {why}" for name, why in silent.items()))
    for name in found:
        config = configs[name]
        say(f"{name}: {partitions(counts[name])}, {kept(config)}, {largest(config)}")
    inputs = {name: counts[name] for name in LANES if name in counts}
    refuse(settings, [*missing(counts), *uneven(inputs), *too_small(configs)])
