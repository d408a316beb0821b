"""Section 3, Order, and the clock of a shard."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from tests.reference import consent, decisions, events
from tests.reference.decoding import TOPICS, DeadLetter, decode
from tests.reference.shop import DAY_MS, Policy, Result, Shop, Visitor, view

TOMBSTONE_LIFE_MS = 30 * DAY_MS
BEHAVIOUR_LIFE_MS = 180 * DAY_MS
CONSENT_LIFE_MS = 395 * DAY_MS


class Record(Protocol):
    """A record as it lies in a topic."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


def nobody(*_: str) -> bool:
    """Say no: nobody is held out, and no user agent is a robot's."""
    return False


def run(
    records: Iterable[Record],
    policy: Policy = Policy(),  # noqa: B008 - a frozen value
    *,
    is_robot: Callable[[str], bool] = nobody,
    is_held_out: Callable[[str, str], bool] = nobody,
) -> Result:
    """Return what the contract says of these records, each shard on its ``records`` clock.

    ``is_robot`` judges user agents, ``is_held_out`` a tenant and its visitor.
    """
    told = Result()
    shards: dict[int, list[Record]] = {}
    for record in records:
        shards.setdefault(record.partition, []).append(record)
    for number in sorted(shards):
        shop = Shop(policy, told, is_robot, is_held_out)
        _run_shard(shop, shards[number])
        told.visitors.update(known_visitors(shop))
    return told


def known_visitors(shop: Shop) -> dict[tuple[str, str], dict[str, Any]]:
    """Return a view of everybody of whom something is kept."""
    return {who: view(one) for who, one in shop.visitors.items() if not one.is_unknown}


def _run_shard(shop: Shop, records: list[Record]) -> None:
    clock_ms: int | None = None
    for record in merged(records):
        event = read(shop, record)
        if event is None:
            continue
        record_ms = record_time(record, event)
        clock_ms = record_ms if clock_ms is None else max(clock_ms, record_ms)
        visitor = shop.visitor(event.get("tenant", "default"), event["visitor"])
        # Each wake-up is judged at its own moment, each event at its own time.
        wake(shop, visitor, clock_ms - 1)
        outcome = events.apply(shop, visitor, event, record_ms, now_ms=None)
        shop.told.outcomes[outcome] += 1
    if clock_ms is not None:
        for visitor in shop.visitors.values():
            wake(shop, visitor, clock_ms)


def step_live(shop: Shop, records: Iterable[Record], now_ms: int, clock_ms: int) -> None:
    """Apply what a shard has read by the wall clock ``now_ms``; its ``live`` clock is then here.

    Wake-ups come after the records, because what has become of the visitors meanwhile counts.
    """
    for record in merged(records):
        event = read(shop, record)
        if event is not None:
            visitor = shop.visitor(event.get("tenant", "default"), event["visitor"])
            record_ms = record_time(record, event)
            shop.told.outcomes[events.apply(shop, visitor, event, record_ms, now_ms)] += 1
    for visitor in shop.visitors.values():
        wake(shop, visitor, clock_ms, judged_ms=clock_ms)


def merged(records: Iterable[Record]) -> Iterator[Record]:
    """Merge a shard's topics by timestamp, then topic; within one topic its own order is kept."""
    lanes: dict[str, deque[Record]] = {topic: deque() for topic in TOPICS}
    for record in sorted(records, key=lambda record: record.offset):
        lanes[record.topic].append(record)
    while waiting := [topic for topic in TOPICS if lanes[topic]]:
        # Of equal timestamps the first topic's comes first.
        yield lanes[min(waiting, key=lambda topic: lanes[topic][0].timestamp_ms)].popleft()


def read(shop: Shop, record: Record) -> dict[str, Any] | None:
    """Return the event in a record; None if it is a dead letter, which moves no clock."""
    try:
        return decode(record.value, record.key, record.topic)
    except DeadLetter as why:
        shop.told.dead[record.topic, record.partition, record.offset] = str(why)
        shop.told.outcomes["dead_letters"] += 1
        return None


def record_time(record: Record, event: dict[str, Any]) -> int:
    """Return a record's timestamp; its event's time stands for one that is missing."""
    return record.timestamp_ms if record.timestamp_ms >= 0 else int(event["at_ms"])


def wake(shop: Shop, visitor: Visitor, until_ms: int, judged_ms: int | None = None) -> None:
    """Let pass what is due by ``until_ms``, the earliest first, each judged at its own moment.

    With ``judged_ms`` all of it is judged at that moment.
    """
    while (due := _next_due(shop, visitor)) and due[0] <= until_ms:
        due_ms, what = due
        now_ms = due_ms if judged_ms is None else judged_ms
        known = visitor.behaviour
        if what == "expiry":
            consent.expire(shop, visitor, due_ms, now_ms)
        elif what == "tombstone":
            visitor.erased_ms = None
        elif what == "end_of_consent":
            consent.forget(visitor)
        elif known is not None and what == "reminder":
            decisions.remind(shop, visitor, known, due_ms, now_ms)
        elif known is not None and what == "follow_up":
            decisions.follow_up(shop, visitor, known, due_ms, now_ms)
        elif known is not None:
            visitor.behaviour, visitor.seen_ms = None, known.newest_ms


def _next_due(shop: Shop, visitor: Visitor) -> tuple[int, str] | None:
    """Return the earliest moment and what is due then; what is listed first wins a tie."""
    known = visitor.behaviour
    moments: list[tuple[int | None, str]] = []
    if known is not None:
        moments.append((decisions.reminder_due_ms(shop, known), "reminder"))
        moments.append((decisions.follow_up_due_ms(shop, known), "follow_up"))
    # A grant counts up to and including its last moment, so a reminder of that moment comes first.
    grants = [choice for choice in visitor.consent.values() if choice.status == "granted"]
    moments += [(choice.valid_until_ms, "expiry") for choice in grants]
    if known is not None:
        moments.append((known.newest_ms + BEHAVIOUR_LIFE_MS, "end_of_behaviour"))
    elif visitor.consent:
        last = [choice.at_ms for choice in visitor.consent.values()]
        last += [visitor.seen_ms] if visitor.seen_ms is not None else []
        moments.append((max(last) + CONSENT_LIFE_MS, "end_of_consent"))
    if visitor.erased_ms is not None:
        moments.append((visitor.erased_ms + TOMBSTONE_LIFE_MS, "tombstone"))
    due = [(moment_ms, what) for moment_ms, what in moments if moment_ms is not None]
    return min(due, key=lambda one: one[0]) if due else None
