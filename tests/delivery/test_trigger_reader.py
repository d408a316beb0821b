"""How partitions are taken up and handed over, on a consumer in memory."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaConnectionError, KafkaTimeoutError
from msgspec import json
from prometheus_client import CollectorRegistry

from stream.config.settings import Settings
from stream.delivery import trigger_reader as module
from stream.delivery.trigger_reader import READ, Subscription, TriggerReader
from stream.domain.topics import TOPICS
from stream.runtime import retry
from stream.runtime.bulkhead import Bulkhead, DefectCounter
from tests.delivery.triggers import NOW_MS, cancel, trigger, was_sent

COUNTS = dict.fromkeys(TOPICS, 1)


class Log:
    """One partition of each topic; as a consumer it hands out what is behind its position."""

    def __init__(self):
        self.topics = {topic: [] for topic in READ}
        self.positions, self.fails, self.commits = {}, [], []
        self.listener = None
        self.is_held_up = False

    def add(self, topic, value):
        raw = value if isinstance(value, bytes) else json.encode(value)
        records = self.topics.setdefault(topic, [])
        records.append(SimpleNamespace(topic=topic, partition=0, offset=len(records), value=raw))

    def subscribe(self, topics, listener):
        self.listener = listener
        self.topics = {topic: self.topics.get(topic, []) for topic in topics}

    async def start(self):
        # As aiokafka does it: whatever the listener raises is swallowed.
        with suppress(Exception):
            await self.listener.on_partitions_assigned(
                {TopicPartition(one, 0) for one in self.topics}
            )

    async def stop(self):
        pass

    async def offsets_for_times(self, partitions):
        if self.fails:
            raise self.fails.pop()
        return dict.fromkeys(partitions)

    async def end_offsets(self, partitions):
        return {one: len(self.topics.get(one.topic, ())) for one in partitions}

    def seek(self, partition, _):
        self.positions[partition.topic] = 0  # all of it is of the last day

    async def position(self, partition):
        return self.positions[partition.topic]

    async def getmany(self, timeout_ms):
        await asyncio.sleep(0.001)
        read = {}
        for topic, position in self.positions.items():
            if not (self.is_held_up and topic == "message-feedback"):
                read[TopicPartition(topic, 0)] = self.topics[topic][position:]
                self.positions[topic] = len(self.topics[topic])
        return read

    async def commit(self, offsets):
        if self.commits:
            raise self.commits.pop()


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
async def reader(log, registry, monkeypatch):
    async def counts(_):
        return None

    monkeypatch.setattr(module, "AIOKafkaConsumer", lambda **it: log if "group_id" in it else Log())
    monkeypatch.setattr(module, "metadata", counts)
    monkeypatch.setattr(module, "partition_counts", lambda _: COUNTS)
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 0.001)
    subscription = Subscription("emailer", "email", lambda _: True)
    bulkhead = Bulkhead("record", DefectCounter(registry, "emailer"), waits_s=())
    reader, reading = TriggerReader(Settings(), subscription, lambda: NOW_MS, bulkhead), []
    reader.begin = lambda: reading.append(asyncio.create_task(reader.run()))
    yield reader
    for task in reading:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def turns(reader, count=3):
    """Let it read, beginning with the first of these."""
    if reader.is_up is None:
        reader.begin()
    for _ in range(count):
        await asyncio.wait_for(reader.wait(), 5)


async def test_what_is_owed_is_handed_out_once_all_that_was_there_has_been_read(log, reader):
    log.add("triggers", trigger("1"))
    log.add("triggers", trigger("2"))
    log.add("message-feedback", was_sent(trigger("1")))
    log.is_held_up = True
    await turns(reader)
    assert reader.take_due() is None
    assert reader.not_ready_reasons() == ["partitions [0] are still being read"]
    log.is_held_up = False
    await turns(reader)
    assert reader.not_ready_reasons() == []
    assert reader.take_due().pending.about == trigger("2")
    assert reader.take_due() is None


class Listening:
    """A channel's own memory, whose store answers when told to."""

    topics = ("consent-events",)

    def __init__(self):
        self.heard, self.settled, self.is_away = [], 0, False

    def hear(self, topic, value):
        self.heard.append((topic, value))

    async def settle(self):
        if self.is_away:
            raise TimeoutError
        self.settled += 1


async def test_a_channel_that_listens_hears_each_record_and_its_topics(log, reader):
    listening = Listening()
    reader._subscription = reader._subscription._replace(listener=listening)
    log.add("triggers", trigger("1"))
    log.add("consent-events", cancel(trigger("1")))  # whatever is in it
    await turns(reader)
    assert sorted(topic for topic, _ in listening.heard) == ["consent-events", "triggers"]
    assert listening.settled
    listening.is_away = True
    log.add("triggers", trigger("2"))
    await turns(reader)
    assert reader.pending()[0] == 2


async def test_partitions_that_could_not_be_taken_up_are_taken_up_again(log, reader):
    log.fails = [KafkaTimeoutError()]
    log.add("triggers", trigger("1"))
    await turns(reader, 6)
    assert log.fails == []
    assert reader.take_due().pending.about == trigger("1")


async def test_nothing_is_handed_over_while_somebody_acts_on_it(log, reader):
    log.add("triggers", trigger("1"))
    await turns(reader)
    taken = reader.take_due()
    async with reader.acting(taken):
        handing = asyncio.create_task(reader.on_partitions_revoked(set()))
        await asyncio.sleep(0.02)
        assert not handing.done()
        assert reader.take_due() is None
    await asyncio.wait_for(handing, 5)
    assert not await reader.confirm_ownership(taken.share)


async def test_kafka_says_whose_it_is_or_that_is_not_known(log, reader):
    log.add("triggers", trigger("1"))
    await turns(reader)
    share = reader.take_due().share
    assert await reader.confirm_ownership(share)
    log.commits = [CommitFailedError()]
    assert not await reader.confirm_ownership(share)
    log.commits = [KafkaConnectionError()]
    with pytest.raises(KafkaConnectionError):
        await reader.confirm_ownership(share)


@pytest.mark.parametrize(("kind", "is_owed"), [("cart_abandonment", True), ("exit_intent", False)])
async def test_a_cancel_is_handed_out_where_its_trigger_was_wanted(log, reader, kind, is_owed):
    reader._subscription = reader._subscription._replace(
        wants=lambda trigger: trigger.kind == "cart_abandonment"
    )
    one = trigger("1", kind=kind)
    log.add("triggers", one)
    log.add("trigger-cancels", cancel(one))
    log.add("message-feedback", was_sent(one))
    await turns(reader)
    taken = reader.take_due()
    assert (taken and taken.pending.about) == (cancel(one) if is_owed else None)


@pytest.mark.parametrize(
    "value", [b"{", b'{"trigger_id": "\xff"}', b'{"x": ' + b"[" * 200_000, b"[" * 200_000, b""]
)
@pytest.mark.parametrize("topic", READ)
async def test_a_record_that_is_none_of_ours_is_skipped(log, reader, registry, topic, value):
    log.add(topic, value)
    log.add("triggers", trigger("1"))
    await turns(reader)
    assert reader.take_due().pending.about == trigger("1")
    assert registry.get_sample_value("cartwake_defects_total", RECORDS) is None


RECORDS = {"program": "emailer", "unit": "record"}


async def test_a_record_with_a_defect_is_skipped_and_counted(log, reader, registry, monkeypatch):
    def failing(_, topic):
        if topic == "trigger-cancels":
            raise RuntimeError

    monkeypatch.setattr(module, "raising", failing)
    log.add("trigger-cancels", cancel(trigger("1")))
    log.add("triggers", trigger("1"))
    await turns(reader)
    assert reader.take_due().pending.about == trigger("1")
    assert registry.get_sample_value("cartwake_defects_total", RECORDS) == 1
