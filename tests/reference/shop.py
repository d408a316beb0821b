"""What the reference keeps of a shard's visitors, and what it tells in the end.

Times are milliseconds UTC unless a name ends in ``_s``; money is in minor units.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
DAY_MS = 24 * 60 * MINUTE_MS


@dataclass(frozen=True)
class Policy:
    """Section 5's thresholds, with its defaults."""

    idle_s: int = 1800
    steps_s: tuple[int, ...] = (0, 86400, 259200)
    min_value_minor: int = 0
    max_age_s: int = 259200
    min_dwell_ms: int = 4000
    cooldown_s: int = 604800
    session_idle_s: int = 1800

    @property
    def idle_ms(self) -> int:
        """After so long without activity a reminder is due."""
        return self.idle_s * SECOND_MS


@dataclass
class Choice:
    """The choice that counts for one purpose. ``since_ms``: from when on events are allowed."""

    status: str
    at_ms: int
    since_ms: int = 0
    valid_until_ms: int | None = None


@dataclass
class Line:
    """So many of one product; ``priced_ms`` is the event time that the price is from."""

    product: dict[str, Any]
    quantity: int
    priced_ms: int

    @property
    def id(self) -> tuple[str, str | None]:
        """What identifies a line."""
        return self.product["id"], self.product.get("variant")


@dataclass
class Behaviour:
    """All that needs consent to ``personalization``."""

    newest_ms: int
    """The newest event time."""
    event_ids: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    session_started_ms: int | None = None
    last_activity_ms: int | None = None
    lines: list[Line] = field(default_factory=list)
    cart_name: str | None = None
    cart_changed_ms: int | None = None
    cart_updated_ms: int | None = None
    """The event time of the newest ``cart_updated`` that replaced the cart."""
    cart_evidence: list[str] = field(default_factory=list)
    decided_activity_ms: int | None = None
    """The last activity whose reminder has been decided, or dropped by a refusal."""
    follow_up: tuple[int, int] | None = None
    """The first fire's due moment, and the step that is owed next."""
    mentioned: list[tuple[object, int]] = field(default_factory=list)
    """Contents that have fired since the last order, each with its due moment."""
    last_order_ms: int | None = None
    exit_fired_ms: int | None = None
    exit_session_ms: int | None = None
    """The start of the session in which an exit signal has been answered last."""
    published: list[dict[str, Any]] = field(default_factory=list)
    """What a cancel would call back: triggers that were still of use at the latest fire."""

    @property
    def contents(self) -> frozenset[tuple[str, str | None, int]]:
        """What the contract's fingerprint depends on."""
        return frozenset((*line.id, line.quantity) for line in self.lines)


@dataclass
class Visitor:
    """One visitor of one tenant. ``erased_ms``: events up to it are refused."""

    tenant: str
    name: str
    consent: dict[str, Choice] = field(default_factory=dict)
    consent_ids: list[str] = field(default_factory=list)
    erased_ms: int | None = None
    behaviour: Behaviour | None = None
    seen_ms: int | None = None
    """The newest event time of behaviour that has ended by time."""

    @property
    def is_unknown(self) -> bool:
        """Say whether nothing is kept."""
        return not self.consent and self.erased_ms is None and self.behaviour is None


@dataclass
class Result:
    """All that comes of a log."""

    triggers: list[dict[str, Any]] = field(default_factory=list)
    """Bodies as published, without ``trigger_id``, ``session``, ``score`` and ``fingerprint``."""
    decisions: list[dict[str, Any]] = field(default_factory=list)
    """kind, tenant, visitor, outcome, reason, at_ms; and step and signal (an event's id)."""
    cancels: list[dict[str, Any]] = field(default_factory=list)
    """kind, tenant, visitor, reason, at_ms; and step, signal and due_at_ms of the trigger."""
    dead: dict[tuple[str, int, int], str] = field(default_factory=dict)
    """(topic, partition, offset) of each dead letter, and its reason."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """applied, duplicates, refused_consent, bots, dead_letters."""
    visitors: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """(tenant, visitor) of everybody known in the end, and what is known; see `view`."""


@dataclass
class Shop:
    """One shard's visitors and what came of them, with everything that decisions depend on."""

    policy: Policy
    told: Result
    is_robot: Callable[[str], bool]
    is_held_out: Callable[[str, str], bool]
    visitors: dict[tuple[str, str], Visitor] = field(default_factory=dict)

    def visitor(self, tenant: str, name: str) -> Visitor:
        """Return one visitor, who may be unknown."""
        return self.visitors.setdefault((tenant, name), Visitor(tenant, name))


def view(visitor: Visitor) -> dict[str, Any]:
    """Return what is known of a visitor as plain values, for comparing."""
    return {
        "consent": {
            purpose: (one.status, one.at_ms, one.since_ms, one.valid_until_ms)
            for purpose, one in visitor.consent.items()
        },
        "erased_ms": visitor.erased_ms,
        "seen_ms": visitor.seen_ms,
        "behaviour": _view_of(visitor.behaviour) if visitor.behaviour is not None else None,
    }


def _view_of(known: Behaviour) -> dict[str, Any]:
    prices = [(one.product.get("price_minor"), one.product.get("currency")) for one in known.lines]
    return {
        "lines": [
            (*one.id, one.quantity, *price) for one, price in zip(known.lines, prices, strict=True)
        ],
        "cart_name": known.cart_name,
        "cart_changed_ms": known.cart_changed_ms,
        "session_started_ms": known.session_started_ms,
        "last_activity_ms": known.last_activity_ms,
        "fired": [due_ms for _, due_ms in known.mentioned],
        "follow_up": known.follow_up,
        "last_order_ms": known.last_order_ms,
    }
