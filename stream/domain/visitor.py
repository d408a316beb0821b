"""Everything that is kept about one visitor, with all the deadlines that follow from it.

The one rule: what needs consent to ``personalization`` is in ``Visitor.behaviour`` and nowhere
else, so that forgetting it is dropping one field.
"""

from typing import NamedTuple

from msgspec import Struct, field

from stream.domain.cart import Cart
from stream.domain.consent import Consent
from stream.domain.features import Profile
from stream.domain.records import Kind, Score
from stream.domain.session import Session


class VisitorKey(NamedTuple):
    """A visitor of a shop; no two tenants share any state."""

    tenant: str
    visitor: str


class Fired(Struct, array_like=True, gc=False):
    """Cart contents that have been mentioned, and when that was due."""

    fingerprint: str
    due_ms: int


class Sequence(Struct, array_like=True, gc=False):
    """The follow-ups to a fired reminder: the step that is owed next, counted from the first."""

    first_due_ms: int
    step: int


class Sent(Struct, array_like=True, gc=False):
    """A trigger that may have been published and is not useless yet."""

    trigger_id: str
    kind: Kind
    expires_at_ms: int


class Prediction(Struct, array_like=True):
    """What a model believed, until its label is known."""

    example_id: str
    model: str
    version: int
    value: float
    at_ms: int
    features: dict[str, float]


class Behaviour(Struct, array_like=True):
    """What the visitor did. ``*_ms`` are event times, milliseconds UTC.

    ``settled_ms`` is the last activity whose cart reminder has been decided or dropped;
    ``orders`` and ``recent`` are concatenated digests of order and event ids, newest last.
    """

    seen_ms: int
    session: Session | None = None
    cart: Cart | None = None
    settled_ms: int | None = None
    sequence: Sequence | None = None
    fired: list[Fired] = []
    last_order_ms: int | None = None
    orders: bytes = b""
    recent: bytes = b""
    exit_fired_ms: int | None = None
    exit_session_ms: int | None = None
    scored_session_ms: int | None = None
    score: Score | None = None
    predictions: list[Prediction] = []
    sent: list[Sent] = []
    profile: Profile = field(default_factory=Profile)


class Visitor(Struct, array_like=True):
    """One visitor's whole state. ``erased_ms`` is a tombstone: events up to it are refused."""

    consent: Consent = {}
    consent_ids: bytes = b""
    erased_ms: int | None = None
    behaviour: Behaviour | None = None

    @property
    def is_unknown(self) -> bool:
        """Say whether nothing is kept, so that the state itself need not be."""
        return not self.consent and self.erased_ms is None and self.behaviour is None
