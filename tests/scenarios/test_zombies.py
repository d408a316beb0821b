"""A worker that stands still for longer than Kafka waits for it, and then goes on where it was."""

import asyncio

import pytest

from stream.adapters.kafka import sink as module
from stream.adapters.kafka.sink import KafkaSink
from stream.adapters.memory import MemoryStore
from stream.entities.visitors import VISITOR_CODEC
from stream.shard.ports import FencedError
from tests.rig.clocks import steady
from tests.scenarios.world import MINUTE, T0, World, added, consented, refused

DUE = T0 + 31 * MINUTE
SESSION_S = 8.0
FRESH_S = SESSION_S / 2


class Timed(MemoryStore):
    """A store that tells when it was asked; ``after_commit`` happens once, after one to publish."""

    def __init__(self, clock):
        super().__init__(VISITOR_CODEC)
        self._clock = clock
        self.after_commit = None

    async def look(self, owner, whos):
        look = await super().look(owner, whos)
        look.asked = self._clock.monotonic()
        return look

    async def commit(self, owner, commit):
        ids = await super().commit(owner, commit)
        owner.committed = self._clock.monotonic()
        if ids and self.after_commit is not None:
            happening, self.after_commit = self.after_commit, None
            await happening()
        return ids


class Producer:
    """Acknowledges at once; ``before_send`` happens once, before something is handed to it."""

    def __init__(self):
        self.sent = []
        self.before_send = None

    async def of(self, entries, *, alone):
        return [Alone(self, number, entry) for number, entry in enumerate(entries)]

    async def send(self, entry):
        if self.before_send is not None:
            happening, self.before_send = self.before_send, None
            await happening()
        self.sent.append(entry.topic)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class Alone:
    """A batch of one entry."""

    def __init__(self, producer, number, entry):
        self.producer, self.numbers, self.entry = producer, [number], entry

    async def send(self):
        return await self.producer.send(self.entry)


@pytest.fixture
def clock(monkeypatch):
    return steady(monkeypatch, module)


@pytest.fixture
async def world(clock):
    """Ann's reminder is due, and her withdrawal is stored a moment later."""
    producer = Producer()
    made = World(consented(T0), added(T0 + MINUTE), store=Timed(clock))
    made.sink, made.producer = KafkaSink(producer, FRESH_S), producer
    return made


async def reminding(world):
    """Return a worker that is about to decide on the reminder."""
    world.now_ms = T0 + MINUTE
    worker = await world.worker()
    await worker.run()
    world.now_ms = DUE
    worker.fetch_all()
    return worker


def stands_still(world, clock):
    """Return what happens while a worker is stopped: another owner folds her withdrawal."""

    async def happening():
        clock.now_s += SESSION_S
        world.log.write(refused(DUE + 1))
        world.now_ms += 1
        world.producer.sent.clear()
        await (await world.worker()).run()
        assert "trigger-cancels" in world.producer.sent
        world.producer.sent.clear()

    return happening


async def test_a_worker_stopped_after_its_commit_sends_no_reminder_that_was_withdrawn(world, clock):
    zombie = await reminding(world)
    world.store.after_commit = stands_still(world, clock)
    with pytest.raises(FencedError):
        await zombie.step()
    assert world.producer.sent == []


async def test_a_worker_stopped_between_two_records_sends_none_of_the_rest(world, clock):
    for number in range(3):
        world.log.write(consented(T0, f"bob-{number}"))
        world.log.write(added(T0 + MINUTE, f"bob-{number}"))
    zombie = await reminding(world)
    world.producer.before_send = stands_still(world, clock)
    with pytest.raises(FencedError):
        await zombie.step()
    assert world.producer.sent == ["decisions"]  # the one that was being handed over


async def test_a_worker_that_stood_still_only_briefly_looks_again_and_goes_on(world, clock):
    worker = await reminding(world)

    async def briefly():
        clock.now_s += FRESH_S

    world.store.after_commit = briefly
    await worker.step()
    assert world.producer.sent == ["decisions", "triggers"]
