"""How partitions are taken up and handed over, on a consumer in memory."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaConnectionError, KafkaTimeoutError
from msgspec import json

from stream.config.settings import Settings
from stream.delivery import trigger_reader as module
from stream.delivery.trigger_reader import READ, TriggerReader
from tests.delivery.triggers import NOW_MS, cancel, trigger, was_sent

COUNTS = dict.fromkeys(
    ("page-views", "cart-events", "consent-events", *READ, "decisions", "dead-letters"), 1
) | {"training-examples": 1}


class Log:
    """One partition of each topic; as a consumer it hands out what is behind its position."""

    def __init__(self):
        self.topics = {topic: [] for topic in READ}
        self.positions, self.fails, self.commits = {}, [], []
        self.listener = None
        self.is_held_up = False

    def add(self, topic, value):
        self.topics[topic].append(SimpleNamespace(topic=topic, value=json.encode(value)))

    def subscribe(self, _, listener):
        self.listener = listener

    async def start(self):
        # As aiokafka does it: whatever the listener raises is swallowed.
        with suppress(Exception):
            await self.listener.on_partitions_assigned({TopicPartition(one, 0) for one in READ})

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
async def inbox(log, monkeypatch):
    async def counts(_):
        return None

    monkeypatch.setattr(module, "AIOKafkaConsumer", lambda **it: log if "group_id" in it else Log())
    monkeypatch.setattr(module, "metadata", counts)
    monkeypatch.setattr(module, "partition_counts", lambda _: COUNTS)
    monkeypatch.setattr(module, "TRY_AGAIN_S", 0.001)
    inbox, reading = (
        TriggerReader(Settings(), "emailer", "email", lambda _: True, lambda: NOW_MS),
        [],
    )
    inbox.begin = lambda: reading.append(asyncio.create_task(inbox.run()))
    yield inbox
    for task in reading:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def turns(inbox, count=3):
    """Let it read, beginning with the first of these."""
    if inbox.is_up is None:
        inbox.begin()
    for _ in range(count):
        await asyncio.wait_for(inbox.wait(), 5)


async def test_what_is_owed_is_handed_out_once_all_that_was_there_has_been_read(log, inbox):
    log.add("triggers", trigger("1"))
    log.add("triggers", trigger("2"))
    log.add("message-feedback", was_sent(trigger("1")))
    log.is_held_up = True
    await turns(inbox)
    assert inbox.take_due() is None
    assert inbox.unready() == ["partitions [0] are still being read"]
    log.is_held_up = False
    await turns(inbox)
    assert inbox.unready() == []
    assert inbox.take_due().debt.about == trigger("2")
    assert inbox.take_due() is None


async def test_partitions_that_could_not_be_taken_up_are_taken_up_again(log, inbox):
    log.fails = [KafkaTimeoutError()]
    log.add("triggers", trigger("1"))
    await turns(inbox, 6)
    assert log.fails == []
    assert inbox.take_due().debt.about == trigger("1")


async def test_nothing_is_handed_over_while_somebody_acts_on_it(log, inbox):
    log.add("triggers", trigger("1"))
    await turns(inbox)
    taken = inbox.take_due()
    async with inbox.acting(taken):
        handing = asyncio.create_task(inbox.on_partitions_revoked(set()))
        await asyncio.sleep(0.02)
        assert not handing.done()
        assert inbox.take_due() is None
    await asyncio.wait_for(handing, 5)
    assert not await inbox.holds(taken.share)


async def test_kafka_says_whose_it_is_or_that_is_not_known(log, inbox):
    log.add("triggers", trigger("1"))
    await turns(inbox)
    share = inbox.take_due().share
    assert await inbox.holds(share)
    log.commits = [CommitFailedError()]
    assert not await inbox.holds(share)
    log.commits = [KafkaConnectionError()]
    with pytest.raises(KafkaConnectionError):
        await inbox.holds(share)


@pytest.mark.parametrize(("kind", "is_owed"), [("cart_abandonment", True), ("exit_intent", False)])
async def test_a_cancel_is_handed_out_where_its_trigger_was_wanted(log, inbox, kind, is_owed):
    inbox._wants = lambda trigger: trigger.kind == "cart_abandonment"
    one = trigger("1", kind=kind)
    log.add("triggers", one)
    log.add("trigger-cancels", cancel(one))
    log.add("message-feedback", was_sent(one))
    await turns(inbox)
    taken = inbox.take_due()
    assert (taken and taken.debt.about) == (cancel(one) if is_owed else None)
