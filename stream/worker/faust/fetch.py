"""Fetching: everything aiokafka has for this worker, and when each fetch was requested.

This is the only module that uses aiokafka's fetcher directly, in the consumer's own thread; each
private name that it uses is pinned by a test.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from msgspec import Struct

from stream.adapters.kafka.topic_ids import remade
from stream.shard.merge import NEVER, Mark

# How long a broker may hold a fetch while nothing comes: the price of causal release when idle.
FETCH_WAIT_MS = 20

# No fetch for so long, and what has the topic's name may be another by now.
STILL_S = 0.25

Fetch = Callable[[Any, int, Any], Awaitable[bool]]


class Fetched(Struct):
    """What one poll brought, per partition: records, next positions, and answers.

    ``received`` is when the last of the records came, on the monotonic clock;
    ``outside`` are offsets that were asked for and that the log does not hold; ``remade`` are
    topics that are others now than those which had been read.
    """

    records: dict[TopicPartition, list[ConsumerRecord]]
    positions: dict[TopicPartition, int]
    marks: list[tuple[TopicPartition, Mark]]
    received: float
    outside: dict[TopicPartition, int] = {}
    remade: set[str] = set()


class Fetches:
    """Watches one consumer's fetches; lives in the consumer's thread.

    ``moment_ms`` tells by which moment an answer is to count, once it is there.
    """

    def __init__(self, consumer: AIOKafkaConsumer, moment_ms: Callable[[], int]) -> None:
        self._consumer = consumer
        self._moment_ms = moment_ms
        self._answered = asyncio.Event()
        self._marks: list[tuple[TopicPartition, Mark]] = []
        # Since this was last looked at a fetch had no good answer, or none was asked for a while.
        # Without either no topic is deleted and made again.
        self._is_doubtful = False
        self._asked: dict[TopicPartition, float] = {}
        self._came: dict[TopicPartition, float] = {}  # when the latest answer did
        fetcher = consumer._fetcher  # noqa: SLF001 - no public way to learn when a fetch was asked
        fetcher._proc_fetch_request = self._timed(fetcher._proc_fetch_request)  # noqa: SLF001

    async def poll(self, wait_s: float, known: Mapping[str, str]) -> Fetched:
        """Return what has come of the known topics; where nothing has, wait for the next answer.

        Nothing is handed out while it cannot be told whether they are still the same.
        """
        fetcher = self._consumer._fetcher  # noqa: SLF001
        subscriptions = fetcher._subscriptions  # noqa: SLF001
        with subscriptions.fetch_context():
            if not self._answered.is_set():
                await _wait(self._answered, wait_s)
            self._answered.clear()
            # In a rebalance fetched_records() waits for its end, which waits for us.
            if subscriptions.reassignment_in_progress or not self._consumer.assignment():
                return Fetched({}, {}, [], time.monotonic())
            others = await self._others(known)
            if others is None or others:
                self._answered.set()  # what has come waits until it is known of which topic it is
                return Fetched({}, {}, [], time.monotonic(), remade=others or set())
            records, outside = await self._drained(fetcher)
        marks, self._marks = self._marks, []
        # Not when they are handed out: a fetch that was asked for in between counts as well.
        received = max((self._came[tp] for tp in records), default=time.monotonic())
        return Fetched(records, self._positions(), marks, received, outside)

    async def _others(self, known: Mapping[str, str]) -> set[str] | None:
        """Return which topics have been made anew; None where that cannot be told yet."""
        if not self._is_doubtful or not known:
            return set()
        self._is_doubtful = False
        others = await remade(self._consumer._client, known)  # noqa: SLF001
        if others is None:
            self._is_doubtful = True
            await asyncio.sleep(STILL_S)
        return None if self._is_doubtful else others

    async def _drained(self, fetcher: Any) -> tuple[Any, dict[TopicPartition, int]]:  # noqa: ANN401
        try:
            return await fetcher.fetched_records(self._consumer.assignment()), {}
        except NoOffsetForPartitionError:  # it was assigned and has not been sought yet
            outside: dict[TopicPartition, int] = {}
        except OffsetOutOfRangeError as error:
            outside = error.args[0]
        self._answered.set()  # what else has come waits behind the error
        return {}, outside

    def pause(self, full: set[TopicPartition]) -> None:
        """Fetch nothing more for these partitions, and again for all others."""
        full = full & self._consumer.assignment()
        self._consumer.pause(*full)
        self._consumer.resume(*(self._consumer.paused() - full))

    def _positions(self) -> dict[TopicPartition, int]:
        assignment = self._consumer._subscription.subscription.assignment  # noqa: SLF001
        states = {tp: assignment.state_value(tp) for tp in assignment.tps}
        return {tp: state.position for tp, state in states.items() if state.has_valid_position}

    def _timed(self, fetch: Fetch) -> Fetch:
        async def timed(assignment: Any, node_id: int, request: Any) -> bool:  # noqa: ANN401
            asked, asked_ms = time.monotonic(), self._moment_ms()
            states = {
                tp: assignment.state_value(tp)
                for tp in (TopicPartition(t, p) for t, parts in request.topics for p, *_ in parts)
            }
            for state in states.values():
                state.timestamp = None  # aiokafka sets it when a partition's answer is good
            has_records = await fetch(assignment, node_id, request)
            self._is_doubtful |= any(
                state.timestamp is None or asked - self._asked.get(tp, NEVER) > STILL_S
                for tp, state in states.items()
            )
            self._asked |= dict.fromkeys(states, asked)
            self._came |= dict.fromkeys(states, time.monotonic())
            self._marks += [
                (tp, Mark(asked, asked_ms, state.highwater))
                for tp, state in states.items()
                if state.timestamp is not None
            ]
            self._answered.set()
            return has_records

        return timed


async def _wait(event: asyncio.Event, wait_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), wait_s)
    except TimeoutError:
        return
