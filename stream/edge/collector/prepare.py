"""From one canonical event, as it was sent, to the record for Kafka.

The sender may not choose everything: the tenant comes from the key, a browser's visitor must be
signed, and bots are marked. Unknown fields are left out.
"""

from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from stream.adapters.wire.bots import is_bot
from stream.adapters.wire.codec import Defect, Rejected, decode_fields, encode_record
from stream.adapters.wire.optional import readable
from stream.config.edge import EdgeKey
from stream.domain.events import (
    CartUpdated,
    ConsentUpdated,
    ErasureRequested,
    Event,
    OrderCompleted,
)
from stream.domain.ids import make_id
from stream.domain.topics import TOPIC_OF, TYPE_OF, event_types, written_by
from stream.edge.answers import RequestRefused, malformed
from stream.edge.collector.device import device_of
from stream.edge.keys import may_send
from stream.edge.visitors import Visitors

# The types of events that the edge accepts over HTTP, by name.
EDGE_TYPES: Final[dict[str, type[Event]]] = {
    TYPE_OF[kind]: kind for kind in event_types(written_by("edge"))
}
# A sender's clock is corrected if it is off by more than this. A smaller skew is often only a slow
# network, and correcting that would put events out of order.
SKEW_MS: Final = 5 * 60 * 1000
USER_AGENT_CHARACTERS: Final = 512
ORDER: Final = TYPE_OF[OrderCompleted]


class Sender(NamedTuple):
    """The sender's key, and what the request says for all its events.

    ``vendor`` is whose client sends, which may have its own ids of visitors.
    """

    key: EdgeKey
    received_ms: int
    user_agent: str | None = None
    denies_sale: bool = False
    sent_at_ms: int | None = None
    vendor: str | None = None

    @property
    def skew_ms(self) -> int:
        """How far the sender's clock is behind; 0 if it is close enough or unknown."""
        if self.sent_at_ms is None:
            return 0
        skew_ms = self.received_ms - self.sent_at_ms
        return skew_ms if abs(skew_ms) > SKEW_MS else 0

    def corrected(self, at_ms: int) -> int:
        """Return an event's time by our clock.

        Nothing is sent before it happened: an event later than its ``sent_at_ms`` shows that this
        was not written when it was sent, and says nothing about the sender's clock.
        """
        is_possible = self.sent_at_ms is not None and at_ms <= self.sent_at_ms
        return at_ms + self.skew_ms if is_possible else at_ms


class ConsentChange(Enum):
    """What an event changes about what may be kept of its visitor."""

    NONE = auto()
    GRANTED = auto()
    REFUSED = auto()
    ERASED = auto()


class PreparedRecord(NamedTuple):
    """A record for Kafka."""

    topic: str
    key: bytes
    value: bytes
    is_bot: bool = False
    was_skewed: bool = False
    lost: tuple[str, ...] = ()  # optional fields that could not be read
    change: ConsentChange = ConsentChange.NONE

    @property
    def forgets(self) -> bool:
        """Whether the browser must delete its cookie."""
        return self.change in {ConsentChange.REFUSED, ConsentChange.ERASED}


def prepare(fields: object, sender: Sender, visitors: Visitors) -> PreparedRecord:
    """Return the record of an event.

    Raises
    ------
    RequestRefused
        The event does not fit the contract, or this sender may not send it.
    """
    if not isinstance(fields, dict):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "not_an_object", "$: expected an object")
    completed = _completed(fields, sender, visitors)
    event, lost = _decoded(completed)
    if not isinstance(fields.get("context"), dict | None):
        lost += ("context",)
    kind = type(event)
    if not may_send(sender.key, kind):
        detail = "$.type: a browser key may not send it"
        raise RequestRefused(HTTPStatus.FORBIDDEN, "right_missing", detail)
    if sender.denies_sale and isinstance(event, ConsentUpdated):
        refused = replace(event.purposes, ads="denied", sale_share="denied")
        event = replace(event, purposes=refused)
    topic = TOPIC_OF[kind]
    marked = event.context is not None and event.context.bot
    return PreparedRecord(
        topic,
        event.visitor.encode(),
        encode_record(event),
        is_bot=marked,
        was_skewed=completed["at_ms"] != fields.get("at_ms"),
        lost=lost,
        change=_change(event),
    )


def by_page(fields: dict[str, Any], sender: Sender) -> dict[str, Any]:
    """Return a vendor's event; a page's order only empties the cart, as servers report orders.

    Without that, shoppers are reminded of what they have bought. A thank-you page that is loaded
    again has the same order and so the same id: by then there may be a new cart.
    """
    if sender.vendor is None or sender.key.kind == "server" or fields.get("type") != ORDER:
        return fields
    order_id = make_id("a page's order", sender.vendor, fields["visitor"], fields["order"])
    kept = {name: one for name, one in fields.items() if name in {"visitor", "at_ms", "context"}}
    return kept | {"type": TYPE_OF[CartUpdated], "id": order_id, "lines": []}


def _change(event: Event) -> ConsentChange:
    if isinstance(event, ErasureRequested):
        return ConsentChange.ERASED
    choice = event.purposes.personalization if isinstance(event, ConsentUpdated) else None
    if choice is None:
        return ConsentChange.NONE
    return ConsentChange.GRANTED if choice == "granted" else ConsentChange.REFUSED


def _decoded(fields: dict[str, Any]) -> tuple[Event, tuple[str, ...]]:
    """Return the event, and its optional fields that are left out because they cannot be read."""
    try:
        return decode_fields(fields, EDGE_TYPES), ()
    except Rejected as rejected:
        refused = rejected
    kind = EDGE_TYPES.get(str(fields.get("type")))
    if refused.reason is Defect.INVALID and kind is not None:
        kept, lost = readable(fields, kind)
        try:
            return decode_fields(kept, EDGE_TYPES), lost
        except Rejected as rejected:
            refused = rejected
    raise RequestRefused(HTTPStatus.BAD_REQUEST, str(refused.reason), refused.detail)


def _completed(fields: dict[str, Any], sender: Sender, visitors: Visitors) -> dict[str, Any]:
    tenant = sender.key.tenant
    if fields.get("tenant") not in (None, tenant):
        raise RequestRefused(HTTPStatus.FORBIDDEN, "other_tenant", "$.tenant: not the key's tenant")
    at_ms = fields.get("at_ms")
    if isinstance(at_ms, int):
        at_ms = sender.corrected(at_ms)
    return fields | {
        "tenant": tenant,
        "visitor": _visitor(fields.get("visitor"), sender, visitors),
        "at_ms": at_ms,
        "context": _context(fields.get("context"), sender),
        "received_at_ms": None,  # only files have it
    }


def _visitor(given: object, sender: Sender, visitors: Visitors) -> object:
    """Return the bare visitor; a server may name any, also by the signed id of a browser."""
    known = visitors.bare(given, sender.key.tenant) if isinstance(given, str) else None
    if known is not None:
        return known
    if sender.vendor is not None and sender.key.vendor_ids and isinstance(given, str):
        # Its own visitor: who knows a vendor's id still reaches nobody with a signed one. Nothing
        # is stored for it, and no secret is in it: new signing keys leave visitors as they are.
        return make_id("vendor's visitor", sender.vendor, sender.key.tenant, given)
    if sender.key.kind == "browser":
        detail = "$.visitor: not a signed id of this shop; get one from /v1/visitor"
        raise RequestRefused(HTTPStatus.FORBIDDEN, "visitor_not_signed", detail)
    if isinstance(given, str) and "\ufffd" in given:  # two visitors might become one
        raise malformed("$.visitor: holds a character that cannot be read")
    return given


def _context(given: object, sender: Sender) -> object:
    context: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    agent = context.pop("user_agent", None)
    if sender.key.kind == "browser":  # one for all events: each new one takes long to read
        agent = sender.user_agent
    if isinstance(agent, str) and agent:
        context["user_agent"] = agent[:USER_AGENT_CHARACTERS]
        context.setdefault("device", device_of(agent))
        if is_bot(agent):
            context["bot"] = True
    return context or None
