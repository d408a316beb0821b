"""The contestants' job, defined: plain Python, no engine, nothing shared with a contestant.

For each partition (murmur2 of the visitor) events are taken in file order. The gap is 30 minutes:

1. stream time of the partition = max(stream time, ``at_ms`` of the event);
2. every session whose last event + gap < stream time is closed (strictly less);
3. the event is applied to its visitor's session (a new one when the old one was closed).

A session holds: last event time, cart {sku: [quantity, price]}, purchased. Consent belongs to the
visitor and outlives sessions. ``cart_add`` adds the quantity and sets the price; ``cart_remove``
subtracts it and drops the line at 0 or less (an unknown sku: nothing); ``purchase`` empties the
cart and sets purchased; ``consent`` sets granted; every event moves the last event time. Closing a
session with a cart that is not empty, consent and no purchase gives a trigger::

    {"trigger_id": first 16 hex digits of md5("<visitor>:<last event ms>"), "visitor",
     "cart_value": sum of quantity * price, "lines": [[sku, quantity, price], ... by sku]}
"""

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.events import partition_of

GAP_MS = 1_800_000

Event = dict[str, Any]
Trigger = dict[str, Any]


@dataclass(slots=True)
class Session:
    """What is known of a visitor since the last gap."""

    last_ms: int
    cart: dict[str, list[int]] = field(default_factory=dict)
    purchased: bool = False


class Reference:
    """Takes events one after the other; ``triggers`` is what came of them."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._stream_ms: defaultdict[int, int] = defaultdict(int)
        self._due: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
        self._sessions: dict[str, Session] = {}
        self._consents: set[str] = set()
        self.triggers: dict[str, Trigger] = {}

    def take(self, event: Event) -> None:
        """Close what is over, then apply the event."""
        visitor, at_ms = event["visitor"], event["at_ms"]
        part = partition_of(visitor, self._partitions)
        self._stream_ms[part] = max(self._stream_ms[part], at_ms)
        self._close(self._due[part], self._stream_ms[part])
        session = self._sessions.setdefault(visitor, Session(at_ms))
        session.last_ms = at_ms
        heapq.heappush(self._due[part], (at_ms + GAP_MS, visitor))
        if event["type"] == "consent":
            change = self._consents.add if event["granted"] else self._consents.discard
            change(visitor)
        else:
            _apply(session, event)

    def _close(self, due: list[tuple[int, str]], now_ms: int) -> None:
        while due and due[0][0] < now_ms:
            due_ms, visitor = heapq.heappop(due)
            session = self._sessions.get(visitor)
            if session is None or session.last_ms + GAP_MS != due_ms:
                continue
            del self._sessions[visitor]
            if session.cart and not session.purchased and visitor in self._consents:
                trigger = _trigger(visitor, session)
                self.triggers[trigger["trigger_id"]] = trigger


def run(events: Iterable[Event], partitions: int) -> dict[str, Trigger]:
    """Return the triggers of a whole log, by id."""
    reference = Reference(partitions)
    for event in events:
        reference.take(event)
    return reference.triggers


def _apply(session: Session, event: Event) -> None:
    cart = session.cart
    match event["type"]:
        case "cart_add":
            for item in event["items"]:
                quantity = cart.get(item["sku"], [0])[0] + item["qty"]
                cart[item["sku"]] = [quantity, item["price"]]
        case "cart_remove":
            for item in event["items"]:
                line = cart.get(item["sku"], [0])
                line[0] -= item["qty"]
                if line[0] <= 0:
                    cart.pop(item["sku"], None)
        case "purchase":
            cart.clear()
            session.purchased = True
        case _:
            pass


def _trigger(visitor: str, session: Session) -> Trigger:
    lines: list[Any] = [
        [sku, quantity, price] for sku, (quantity, price) in sorted(session.cart.items())
    ]
    name = hashlib.md5(f"{visitor}:{session.last_ms}".encode(), usedforsecurity=False)
    return {
        "trigger_id": name.hexdigest()[:16],
        "visitor": visitor,
        "cart_value": sum(quantity * price for _, quantity, price in lines),
        "lines": lines,
    }
