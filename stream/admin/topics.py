"""``cartwake topics``: creates the topics of the table that are missing, and checks all of them.

An existing topic is never changed: its operators decide about its partitions and its retention.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aiokafka.cluster import ClusterMetadata
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic

from stream.adapters.kafka.administer import admin_client, answer, ask, refusal_of, topic_configs
from stream.adapters.kafka.connect import ANSWER_S, metadata, partition_counts, refuse
from stream.adapters.kafka.topic_rules import (
    ACTED_ON,
    FROM_OUTSIDE,
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
from stream.domain.topics import LANES, TOPICS

LOOK_AGAIN_S: Final = 0.1

# Kafka deletes whole segments, so a record outlives its retention by what a segment spans.
SEGMENT_MS: Final = DAY_MS

Say = Callable[[str], None]


def create(settings: Settings, say: Say = print) -> int:
    """Create missing topics, check all, print a line for each; return the exit code.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached or refuses, or an existing topic does not meet the requirements.
    """
    ask(settings, _create(settings, say))
    return 0


def check(settings: Settings, say: Say = print) -> int:
    """Check all topics, print a line for each; return the exit code.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached, or topics do not meet the requirements: all problems are named.
    """
    ask(settings, _check(settings, say))
    return 0


async def _create(settings: Settings, say: Say) -> None:
    known = partition_counts(await metadata(settings))
    refuse(settings, _at_odds(known, settings.kafka))
    absent = [_new_topic(name, settings) for name in TOPICS if name not in known]
    made = await _make(settings, absent) if absent else {}
    for name in TOPICS:
        is_new = name in made
        say(f"{name}: {f'created, {partitions(made[name])}' if is_new else 'exists, not changed'}")
    await _check(settings, lambda _: None)


async def _make(settings: Settings, topics: list[NewTopic]) -> dict[str, int]:
    """Create topics; return the partition counts, without topics that existed meanwhile."""
    admin = admin_client(settings.kafka)
    made = {topic.topic: topic.num_partitions for topic in topics}
    problems: list[str] = []
    for name, future in admin.create_topics(topics, request_timeout=ANSWER_S).items():
        try:
            await answer(future)
        except KafkaException as error:
            del made[name]
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                problems.append(f"{name} was not created: {refusal_of(error)}")
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
        # With three replicas, two store a record before it counts as written.
        "min.insync.replicas": str(max(1, kafka.replication - 1)),
    }
    if name not in FROM_OUTSIDE:
        config["max.message.bytes"] = str(LARGEST_BYTES)
    return NewTopic(name, _count(name, kafka), kafka.replication, config=config)


def _count(name: str, kafka: KafkaSettings) -> int:
    return 1 if TOPICS[name].has_one_partition else kafka.partitions


def _at_odds(known: Mapping[str, int], kafka: KafkaSettings) -> Iterable[str]:
    """Yield, before anything is created, which topics the missing ones would not match."""
    if not known.keys() >= {*ACTED_ON}:
        for name in ACTED_ON:
            if known.get(name, kafka.partitions) != kafka.partitions:
                have = partitions(known[name])
                yield f"{name} exists with {have}, but kafka.partitions is {kafka.partitions}"


async def _are_led(settings: Settings, names: Iterable[str]) -> None:
    """Wait until every partition has a leader, a moment after its creation."""
    clock = asyncio.get_running_loop().time
    until = clock() + ANSWER_S
    while late := _leaderless(await metadata(settings), names):
        if clock() > until:
            refuse(settings, [f"created, but without a leader: {', '.join(late)}"])
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
    configs, unreadable = await topic_configs(admin_client(settings.kafka), found)
    refuse(
        settings,
        (f"the settings of {name} cannot be read: {why}" for name, why in unreadable.items()),
    )
    for name in found:
        config = configs[name]
        say(f"{name}: {partitions(counts[name])}, {kept(config)}, {largest(config)}")
    for line in _differences(counts, settings.kafka):
        say(f"warning: {line}")
    inputs = {name: counts[name] for name in LANES if name in counts}
    refuse(settings, [*missing(counts), *uneven(inputs), *too_small(configs)])


def _differences(counts: Mapping[str, int], kafka: KafkaSettings) -> Iterable[str]:
    """Yield the differing partition counts that stop no worker."""
    acted_on = {name: counts[name] for name in ACTED_ON if name in counts}
    for problem in uneven(acted_on, "the topics"):
        yield f"{problem}; cartwake emailer and webhooks refuse to start"
        return
    if others := {*acted_on.values()} - {kafka.partitions}:
        yield (
            f"the topics have {partitions(others.pop())} each, but kafka.partitions is"
            f" {kafka.partitions}: 'cartwake topics create' would refuse to add a topic"
        )
