"""``cartwake tail``: the newest events, what became of each and why, and decisions; then live.

It joins no group, claims no shard and writes nothing. What became of an event is judged by what is
stored about its visitor now: after a refusal, also the events before it count as refused.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final

import msgspec
from aiokafka import ConsumerRecord
from redis.exceptions import RedisClusterException, RedisError

from stream.adapters.kafka.administer import ask
from stream.adapters.kafka.dead_letter_topic import letter
from stream.adapters.kafka.reader import (
    all_partitions,
    reading,
    records_from,
    records_until,
    seek_to_time,
)
from stream.adapters.redis.connection import connected
from stream.adapters.redis.reader import RedisStates
from stream.adapters.wire.facts import read
from stream.config.settings import Settings
from stream.domain.consent import permits
from stream.domain.events import ConsentUpdated, ErasureRequested, OrderCompleted
from stream.domain.ids import digest, remembers
from stream.domain.topics import (
    CONSENT_EVENTS,
    DEAD_LETTERS,
    DECISIONS,
    LANES,
    TRIGGER_CANCELS,
    TRIGGERS,
    TYPE_OF,
)
from stream.domain.visitor import Visitor, VisitorKey
from stream.entities.visitors import VISITOR_CODEC
from stream.errors import CartwakeError
from stream.runtime.worker_clock import system_ms
from stream.shard.clock import Fact
from stream.shard.ports import DeadLetter, UnreadableState

LOOK_BACK_MS: Final = 10 * 60_000
MOST_OLD: Final = 20
# A worker in step applies a record long before this.
APPLIED_WITHIN_MS: Final = 2_000
LOOK_EVERY_S: Final = 0.05
REMEMBERED: Final = 10_000
PUBLISHED: Final = (DECISIONS, TRIGGERS, TRIGGER_CANCELS)

FORGOTTEN: Final = "read, and no longer remembered"

Say = Callable[[str], None]
Check = Callable[[Fact[VisitorKey], Visitor], bool]


def run(settings: Settings, visitor: str | None = None, say: Say = print) -> int:
    """Print the records of all visitors, or of one, until Ctrl-C; return the exit code.

    Raises
    ------
    CartwakeError
        Kafka or Redis cannot be reached or refuses, or a topic does not exist.
    """
    ask(settings, _run(settings, visitor, say))
    return 0


async def _run(settings: Settings, visitor: str | None, say: Say) -> None:
    redis = connected(settings.redis, once=True)
    tail = Tail(RedisStates(redis, settings.worker.group, VISITOR_CODEC), visitor, say)
    partitions = await all_partitions(settings, (*LANES, *PUBLISHED, DEAD_LETTERS))
    try:
        async with reading(settings.kafka, partitions, wait_ms=50) as consumer:
            ends = await seek_to_time(consumer, partitions, system_ms() - LOOK_BACK_MS)
            async with aclosing(records_until(consumer, ends)) as old:
                found = [record async for record in old if tail.is_about(record)]
            for record in sorted(found, key=lambda one: one.timestamp)[-MOST_OLD:]:
                await tail.show(record)
            say(f"-- {len(found)} in the last 10 minutes; now live, until Ctrl-C --")
            async for record in records_from(consumer):
                if tail.is_about(record):
                    await tail.show(record)
    except (RedisError, RedisClusterException) as error:
        raise CartwakeError(f"Redis at {redis.address} says: {error}") from error
    finally:
        await redis.close()


class Tail:
    """Prints records, of one visitor if ``visitor`` is not None."""

    def __init__(
        self, states: RedisStates[VisitorKey, Visitor], visitor: str | None, say: Say
    ) -> None:
        self._states, self._say = states, say
        self._key = None if visitor is None else visitor.encode()
        self._seen: deque[tuple[VisitorKey, str]] = deque(maxlen=REMEMBERED)

    def is_about(self, record: ConsumerRecord) -> bool:
        """Say whether the record is to be shown."""
        return self._key is None or record.key == self._key

    async def show(self, record: ConsumerRecord) -> None:
        """Print one record in one line."""
        if record.topic in PUBLISHED:
            what = _published(record)
        elif record.topic == DEAD_LETTERS:
            found = letter(record)
            what = (
                "dead letter: not one of Cartwake's" if found is None else f"dead letter: {found}"
            )
        else:
            what = await self._event(record)
        at = datetime.fromtimestamp(record.timestamp / 1000).astimezone()
        who = _plain((record.key or b"").decode(errors="replace"))
        self._say(f"{at:%H:%M:%S}.{record.timestamp % 1000:03d}  {who}  {what}")

    async def _event(self, record: ConsumerRecord) -> str:
        (fact,) = read([record])
        if isinstance(fact, DeadLetter):
            return f"{record.topic}: dead letter, {fact.reason}: {fact.detail}"
        name = TYPE_OF[type(fact.event)]
        seen = (fact.key, fact.event.id)
        if seen in self._seen:
            return f"{name}: duplicate, its id was read before"
        self._seen.append(seen)
        if not await self._is_applied(record):
            return f"{name}: no worker has applied it yet"
        try:
            state = await self._states.state(record.partition, fact.key)
        except UnreadableState as error:
            return f"{name}: the visitor's state cannot be read: {error}"
        return f"{name}: {outcome(fact, state or Visitor())}"

    async def _is_applied(self, record: ConsumerRecord) -> bool:
        while True:
            watermark = await self._states.watermark(record.partition)
            if watermark.offsets.get(record.topic, 0) > record.offset:
                return True
            if system_ms() > record.timestamp + APPLIED_WITHIN_MS:
                return False
            await asyncio.sleep(LOOK_EVERY_S)


def outcome(fact: Fact[VisitorKey], state: Visitor) -> str:
    """Return what became of an applied event and why, by its visitor's state."""
    return next((words for words, holds in OUTCOMES if holds(fact, state)), FORGOTTEN)


def _is_erased(fact: Fact[VisitorKey], state: Visitor) -> bool:
    return state.erased_ms is not None and fact.at_ms <= state.erased_ms


def _is_remembered(fact: Fact[VisitorKey], state: Visitor) -> bool:
    ids = state.behaviour.recent if state.behaviour else b""
    return remembers(ids + state.consent_ids, digest(fact.event.id))


def _is_known_order(fact: Fact[VisitorKey], state: Visitor) -> bool:
    orders = state.behaviour.orders if state.behaviour else b""
    return isinstance(fact.event, OrderCompleted) and remembers(orders, digest(fact.event.order))


def _has_status(status: str | None) -> Check:
    """Return a check: so stands ``personalization``; None: nothing was said about it."""

    def holds(_: Fact[VisitorKey], state: Visitor) -> bool:
        choice = state.consent.get("personalization")
        return (choice.status if choice else None) == status

    return holds


def _is_lapsed(fact: Fact[VisitorKey], state: Visitor) -> bool:
    return state.consent["personalization"].lapses_before(fact.at_ms)


def _is_too_early(fact: Fact[VisitorKey], state: Visitor) -> bool:
    return not permits(state.consent, "personalization", fact.at_ms)


# The first that holds says what became of an event; in the fold's order.
OUTCOMES: Final[tuple[tuple[str, Check], ...]] = (
    ("everything was deleted", lambda fact, _: isinstance(fact.event, ErasureRequested)),
    ("ignored, the sender is a bot", lambda fact, _: fact.bot and fact.topic != CONSENT_EVENTS),
    ("refused, the visitor has asked to be forgotten since", _is_erased),
    (
        "applied",
        lambda fact, state: isinstance(fact.event, ConsentUpdated) and _is_remembered(fact, state),
    ),
    (FORGOTTEN, lambda fact, _: isinstance(fact.event, ConsentUpdated)),
    ("refused, no consent to personalization: send consent_updated first", _has_status(None)),
    ("refused, personalization is denied", _has_status("denied")),
    ("refused, personalization is withdrawn", _has_status("withdrawn")),
    ("refused, the consent to personalization has expired", _is_lapsed),
    ("refused, the consent to personalization is newer than the event", _is_too_early),
    ("applied", _is_remembered),
    ("duplicate, this order is known", _is_known_order),
)


def _published(record: ConsumerRecord) -> str:
    try:
        fields: dict[str, Any] = msgspec.json.decode(record.value or b"", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"{record.topic}: not readable"
    kind, reason = (_plain(str(fields.get(name))) for name in ("kind", "reason"))
    if record.topic == DECISIONS:
        return f"decision {kind}: {_plain(str(fields.get('outcome')))}, {reason}"
    name = "trigger" if record.topic == TRIGGERS else "cancel of a trigger"
    return f"{name} {kind}: {_plain(str(fields.get('trigger_id')))}, {reason}"


def _plain(text: str) -> str:
    """Return text without what could move a terminal's cursor."""
    return "".join(char if char.isprintable() else "?" for char in text)
