"""The state of one visitor; all deadlines follow from it.

What needs consent to ``personalization`` is in ``Visitor.behaviour`` and nowhere else, so that
deleting it is dropping one field.
"""

from typing import NamedTuple

from msgspec import Raw, Struct, field

from stream.domain.cart import Cart
from stream.domain.consent import Consent
from stream.domain.contacts import Contact
from stream.domain.features import Profile
from stream.domain.records import Score
from stream.domain.session import Session


class VisitorKey(NamedTuple):
    """A visitor of a shop; no two tenants share any state."""

    tenant: str
    visitor: str


class SentTrigger(Struct, array_like=True, gc=False):
    """A trigger that may have been published and has not expired yet."""

    trigger_id: str
    kind: str
    expires_at_ms: int


class Prediction(Struct, array_like=True):
    """A model's prediction, kept until its label is known."""

    example_id: str
    model: str
    version: int
    value: float
    at_ms: int
    features: dict[str, float]


class Behaviour(Struct, array_like=True):
    """What the visitor did. ``*_ms`` are event times, milliseconds UTC.

    ``orders`` and ``recent`` are concatenated digests of order and event ids, newest last.
    ``memory`` is what each kind of trigger remembers, by the kind's name: the kind decodes its own
    when it first needs it (`Kind.memory_in`), so kinds unknown to this version are kept untouched.
    """

    seen_ms: int
    session: Session | None = None
    cart: Cart | None = None
    last_order_ms: int | None = None
    orders: bytes = b""
    recent: bytes = b""
    scored_session_ms: int | None = None
    score: Score | None = None
    predictions: list[Prediction] = []
    sent: list[SentTrigger] = []
    profile: Profile = field(default_factory=Profile)
    memory: dict[str, Raw] = {}
    contacts: list[Contact] = []

    @property
    def has_cart(self) -> bool:
        """Return whether something is in the cart."""
        return self.cart is not None and bool(self.cart.lines)


class Visitor(Struct, array_like=True):
    """One visitor's state.

    ``erased_ms`` is a tombstone: events up to it are refused. ``seen_ms`` is the newest event time
    of behaviour that was kept to its end; None while there is behaviour, or if it was refused.
    """

    consent: Consent = {}
    consent_ids: bytes = b""
    erased_ms: int | None = None
    behaviour: Behaviour | None = None
    seen_ms: int | None = None

    @property
    def is_unknown(self) -> bool:
        """Return whether nothing is kept, so that the state itself can be deleted."""
        return not self.consent and self.erased_ms is None and self.behaviour is None
