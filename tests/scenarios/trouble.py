"""What goes wrong: a worker that is killed, a Redis with an older copy of its data."""

import contextlib
from typing import NamedTuple

import pytest

from stream.adapters.memory import MemorySink
from stream.shard.ports import FencedError


class Crash(Exception):  # noqa: N818 - stands for the end of a process
    """The worker is gone."""


class Crashing(MemorySink):
    """A sink whose worker is killed: before it publishes, or before it can say that it has."""

    def __init__(self):
        super().__init__()
        self.before = self.after = False

    async def publish(self, entries, looked):
        if self.before:
            raise Crash
        done = await super().publish(entries)
        if self.after:
            raise Crash
        return done


def copied(store):
    """Return a copy of what a store in memory holds, as an older copy of Redis's files would be."""
    return {number: _copy_of(kept) for number, kept in store._shards.items()}


def _copy_of(kept):
    fields = {name: getattr(kept, name) for name in kept.__struct_fields__}
    return type(kept)(
        **{k: v.copy() if isinstance(v, dict | list) else v for k, v in fields.items()}
    )


class Trouble(NamedTuple):
    """One thing that happens to a worker: how many records it concerns, and of which topic."""

    kind: str
    number: int = 1
    topic: str = "cart-events"


LOSSES = ("Redis is copied", "Redis is lost")
TROUBLES = (
    *("reads", "steps", "reads all") * 2,
    *("dies before it publishes", "dies after it has published", "is replaced"),
    *LOSSES,
)


async def suffer(world, worker, troubles):
    """Let a worker, and those who take its place, go through it all; return the last one."""
    kept = {}
    for trouble in troubles:
        match trouble.kind:
            case "reads":
                worker.fetch(trouble.topic, trouble.number)
            case "reads all":
                worker.fetch_all()
            case "steps":
                await worker.step(trouble.number)
            case "is replaced":
                worker = await _replaced(world, worker)
            case "Redis is copied":
                kept = copied(world.store)
            case "Redis is lost":
                world.store._shards = {number: _copy_of(one) for number, one in kept.items()}
                worker = await world.worker(live=worker.live)
            case _:
                worker = await _killed(world, worker, trouble)
    return worker


async def _replaced(world, worker):
    """Let a new owner take the shard in the middle of the old one's step."""
    successor = await world.worker(live=worker.live)
    with pytest.raises(FencedError):
        await worker.shard.step(worker.batch())
    return successor


async def _killed(world, worker, trouble):
    sink = world.sink
    sink.before = "before" in trouble.kind
    sink.after = not sink.before
    worker.fetch_all()
    with contextlib.suppress(Crash):
        await worker.step(trouble.number)
    sink.before = sink.after = False
    return await world.worker(live=worker.live)
