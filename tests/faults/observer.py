"""Watches from outside how far each shard is: what Redis holds, a few dozen times a second.

The one rule: a moment noted here is not before the commit that it tells of, and late by a look.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple, Self

import redis

LOOK_EVERY_S = 0.02


class Look(NamedTuple):
    """A shard as it was found at ``at_ms`` (UTC): owner's epoch, step, clock and next offsets."""

    at_ms: int
    epoch: int
    step: int
    clock_ms: int
    offsets: dict[str, int]


class Observer:
    """Keeps every change that it sees; ``losses_ms`` are when data was taken away on purpose."""

    def __init__(self, port: int, group: str, partitions: int) -> None:
        self._keys = [f"{group}:{{{number}}}:own" for number in range(partitions)]
        self._client = redis.Redis(port=port, socket_timeout=1.0)
        self.looks: defaultdict[int, list[Look]] = defaultdict(list)
        self.losses_ms: list[tuple[int, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    @contextmanager
    def losing(self) -> Iterator[None]:
        """Say that the body takes data away: after it the state may be an older one."""
        from_ms = now_ms()
        yield
        self.losses_ms.append((from_ms, now_ms()))

    def longest_pause_s(self, shard: int, from_ms: int, until_ms: int) -> float:
        """Return the longest time without a step of a shard, of the pauses that overlap a span."""
        looks = self.looks[shard]
        # A claim is no step: while shards only change hands, nobody is served.
        moved = [after for before, after in pairwise(looks) if after.step != before.step]
        steps = [*looks[:1], *moved]
        pauses = [
            (after.at_ms - before.at_ms) / 1000
            for before, after in pairwise(steps)
            if after.at_ms > from_ms and before.at_ms < until_ms
        ]
        return max(pauses, default=float("inf"))

    def claimed_after_s(self, at_ms: int) -> float:
        """Return how long after a moment the last shard was claimed for the first time."""
        return max(
            next(
                (
                    (after.at_ms - at_ms) / 1000
                    for before, after in pairwise(looks)
                    if after.at_ms > at_ms and after.epoch != before.epoch
                ),
                float("inf"),
            )
            for looks in self.looks.values()
        )

    def worst_pause_s(self, faults_ms: list[int], within_ms: int) -> float:
        """Return the longest pause of any shard that begins so soon after a fault."""
        return max(
            self.longest_pause_s(shard, at_ms, at_ms + within_ms)
            for at_ms in faults_ms
            for shard in self.looks
        )

    def applied_at_ms(self, shard: int, topic: str, offset: int) -> int | None:
        """Return when a record was first seen to have been applied."""
        found = (look.at_ms for look in self.looks[shard] if look.offsets.get(topic, 0) > offset)
        return next(found, None)

    def reached_at_ms(self, shard: int, clock_ms: int) -> int | None:
        """Return when a shard's clock was first seen to have reached a moment."""
        found = (look.at_ms for look in self.looks[shard] if look.clock_ms >= clock_ms)
        return next(found, None)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self._look()
            except redis.RedisError:  # it is away: that is what is being tried
                continue

    def _look(self) -> None:
        pipe = self._client.pipeline(transaction=False)
        for key in self._keys:
            pipe.hmget(key, "epoch", "watermark")
        found = pipe.execute()
        at_ms = now_ms()
        for shard, (epoch, mark) in enumerate(found):
            if mark:
                told = json.loads(mark)
                look = Look(at_ms, int(epoch), told["step"], told["clock_ms"], told["offsets"])
                looks = self.looks[shard]
                if not looks or looks[-1][1:] != look[1:]:
                    looks.append(look)


def now_ms() -> int:
    """Return the wall clock, which every process of the campaign shares."""
    return time.time_ns() // 1_000_000
