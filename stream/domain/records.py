"""Records that Cartwake publishes: what other programs read, field by field as in the contract."""

from typing import Literal

from msgspec import Struct, field

from stream.domain.consent import Purpose, Standing
from stream.domain.events import Currency, Line, Minor, Product

TriggerClass = Literal["marketing", "transactional", "onsite"]


class Score(Struct, frozen=True, gc=False, array_like=False):
    """A model's prediction: P(label), in [0, 1]."""

    model: str
    version: int
    value: float


class CartSnapshot(Struct, frozen=True):
    """The cart as it was when the trigger fired; its value is in minor units."""

    fingerprint: str
    value_minor: int
    currency: str | None
    lines: list[Line]


class OrderSnapshot(Struct, frozen=True):
    """The order that a trigger is about; its total is in minor units."""

    order: str
    total_minor: Minor
    currency: Currency


class Trigger(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A request to act now. The same decision always has the same id and the same body."""

    trigger_id: str
    kind: str
    class_: TriggerClass = field(name="class")
    tenant: str
    visitor: str
    session: str
    step: int
    cart: CartSnapshot | None = None
    products: list[Product] | None = None
    order: OrderSnapshot | None = None
    evidence: list[str]
    reason: str
    score: Score | None = None
    due_at_ms: int
    expires_at_ms: int
    consent: dict[Purpose, Standing]


class Decision(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Why a trigger was fired or not."""

    decision_id: str
    kind: str
    tenant: str
    visitor: str
    outcome: Literal["fired", "skipped"]
    reason: str
    at_ms: int
    trigger_id: str | None = None


class TriggerCancel(Struct, frozen=True, kw_only=True):
    """A published trigger that must not be acted on any more."""

    trigger_id: str
    kind: str
    tenant: str
    visitor: str
    reason: Literal["consent_refused", "consent_expired", "erased"]
    at_ms: int


class Example(Struct, frozen=True, kw_only=True):
    """One labelled prediction for the trainer. No field identifies a visitor."""

    example_id: str
    model: str
    features: dict[str, float]
    label: bool
    predicted: float
    version: int
    at_ms: int


Effect = Trigger | Decision | TriggerCancel | Example
