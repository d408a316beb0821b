"""Random logs of records, as producers write them: with repetitions, disorder and nonsense.

The one rule: a log is a list of acts, each named in words, so that a shrunk one reads as a story
and can be kept as an example.
"""

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.rig.kafka import Message
from tests.scenarios.world import DAY, HOUR, IDLE, MINUTE, SECOND, T0, TOPIC_OF_TYPE
from tests.strategies import GAPS_MS, LATENESSES_MS


class Act(NamedTuple):
    """What one shopper does, ``gap_ms`` after the record before, told ``late_ms`` late."""

    who: str
    deed: str
    gap_ms: int = 0
    late_ms: int = 0
    mishap: str | None = None


WHOS = {"ann": {"visitor": "ann"}, "bob": {"visitor": "bob"}}
WHOS["ann elsewhere"] = {"visitor": "ann", "tenant": "other"}
# A producer's clock may be set back; and times are told that nobody can believe.
ANY_GAPS_MS = (*[0] * 4, *GAPS_MS, -1, -20 * SECOND, -HOUR)
ANY_LATENESSES_MS = (*LATENESSES_MS, 11 * SECOND, DAY + 1, 3 * DAY, -MINUTE - 1, -DAY)
BOTH = {"personalization": "granted", "marketing_email": "granted"}


def _product(product_id="p1", **fields):
    return {"id": product_id, **fields}


CHEAP = _product(price_minor=400, currency="EUR", name="sock", tags=[])
DEAR = _product(price_minor=1_000, currency="EUR", variant=None)
BARE = _product(name="a sock")
RED = _product(variant="red", price_minor=0)
FOREIGN = _product("p2", price_minor=5_000, currency="USD", later={"unknown": "field"})
UNSAID = _product("p2", price_minor=700)


def _choice(**fields):
    return {"type": "consent_updated", "purposes": BOTH, **fields}


def _added(product, **fields):
    return {"type": "product_added", "product": product, "quantity": 1, **fields}


def _removed(product_id="p1", **fields):
    return {"type": "product_removed", "product_id": product_id, **fields}


def _updated(*lines, **fields):
    told = [{"product": product, "quantity": quantity} for product, quantity in lines]
    return {"type": "cart_updated", "lines": told, **fields}


def _ordered(order="o1", **fields):
    facts = {"order": order, "total_minor": 1_000, "currency": "EUR"}
    return {"type": "order_completed", **facts, **fields}


def _left(dwell_ms=5_000, signal="tab_hidden"):
    return {"type": "exit_signalled", "signal": signal, "dwell_ms": dwell_ms}


def _lines(*products):
    return [{"product": product, "quantity": 1} for product in products]


CHOICES = {
    "allows both": _choice(),
    "allows both for a while": _choice(valid_until_ms=20 * MINUTE),
    "allows both until the reminder": _choice(valid_until_ms=IDLE),
    "allows both until tomorrow": _choice(valid_until_ms=DAY),
    "allowed both until just now": _choice(valid_until_ms=-1),
    "allows both and no end": _choice(valid_until_ms=None, source="banner"),
    "allows personalization": _choice(purposes={"personalization": "granted"}),
    "allows e-mail": _choice(purposes={"marketing_email": "granted"}),
    "allows e-mail for a while": _choice(
        purposes={"marketing_email": "granted"}, valid_until_ms=20 * MINUTE
    ),
    "allows ads": _choice(purposes={"ads": "granted", "analytics": None}),
    "denies e-mail": _choice(purposes={"marketing_email": "denied"}),
    "withdraws e-mail": _choice(purposes={"marketing_email": "withdrawn"}),
    "withdraws personalization": _choice(purposes={"personalization": "withdrawn"}),
    "withdraws all, allows e-mail": _choice(
        purposes={"personalization": "denied", "marketing_email": "granted"}
    ),
    "allows what nobody knows": _choice(purposes={"telepathy": "granted"}),
    "is erased": {"type": "erasure_requested"},
}
CART_DEEDS = {
    "adds p1": _added(DEAR),
    "adds a cheap p1": _added(CHEAP),
    "adds p1 without a price": _added(BARE),
    "adds a red p1": _added(RED, quantity=2),
    "adds p2": _added(FOREIGN, cart="A"),
    "adds p2 in no currency": _added(UNSAID),
    "adds very many": _added(DEAR, quantity=9_999, cart="B"),
    "removes one p1": _removed(quantity=1),
    "removes p1": _removed(cart="A"),
    "removes the red p1": _removed(variant="red", quantity=2),
    "removes p2": _removed("p2"),
    "empties the cart": _updated(),
    "updates to p1": _updated((DEAR, 1), cart="A"),
    "updates to both": _updated((FOREIGN, 2), (BARE, 1), cart=""),
    "updates to p1 twice": _updated((DEAR, 6_000), (CHEAP, 6_000), cart="B"),
    "checks out": {"type": "checkout_started", "cart": "A"},
    "checks out on": {"type": "checkout_step_completed", "step": 2, "shipping_minor": 0},
    "cannot pay": {"type": "payment_failed", "code": None},
    "orders": _ordered(),
    "orders again": _ordered("o2"),
    "orders A": _ordered("o3", cart="A", lines=_lines(DEAR)),
    "orders B": _ordered("o4", cart="B", lines=_lines(FOREIGN, RED)),
    "orders a nameless cart": _ordered("o5", cart="", lines=[]),
    "sends it back": {"type": "order_refunded", "order": "o1", "total_minor": 1_000},
}
PAGE_DEEDS = {
    "looks": {"type": "page_viewed", "url": "/"},
    "looks at p1": {"type": "product_viewed", "product": BARE},
    "looks at many": {"type": "product_list_viewed", "list": "new", "products": [DEAR, RED]},
    "searches": {"type": "products_searched", "query": ""},
    "leaves the page": {"type": "page_left", "url": "/", "dwell_ms": 0, "scroll_pct": 1},
    "is leaving": _left(),
    "is leaving early": _left(3_999, "idle"),
    "is leaving late": _left(4_000, "pointer_left_top"),
}
DEEDS = CHOICES | CART_DEEDS | PAGE_DEEDS
LIKELY = (
    *("allows both", "adds p1", "looks", "is leaving") * 5,
    *("adds a cheap p1", "adds p2", "orders", "withdraws e-mail", "allows both for a while") * 2,
)


def _mangled(change):
    return lambda event, key: (json.dumps(change(event)).encode(), key)


# What may be wrong with a record, by name.
MISHAPS = {
    "no value": lambda event, key: (None, key),
    "nothing": lambda event, key: (b"", key),
    "cut off": lambda event, key: (json.dumps(event).encode()[:-1], key),
    "not UTF-8": lambda event, key: (json.dumps(event).encode() + b"\xff", key),
    "a list": lambda event, key: (json.dumps([event]).encode(), key),
    "too large": _mangled(lambda event: event | {"more": "x" * 66_000}),
    "unknown": _mangled(lambda event: event | {"type": "product_eaten"}),
    "elsewhere": _mangled(lambda event: event | _elsewhere(event["type"])),
    "an address": _mangled(lambda event: event | {"visitor": "ann@shop.example"}),
    "without id": _mangled(lambda event: {k: v for k, v in event.items() if k != "id"}),
    "no integer": _mangled(lambda event: event | {"at_ms": float(event["at_ms"])}),
    "no tenant": _mangled(lambda event: event | {"tenant": None}),
    "beyond bounds": _mangled(lambda event: event | {"quantity": 0, "lines": {}, "dwell_ms": "1"}),
    "no key": lambda event, key: (json.dumps(event).encode(), None),
    "wrong key": lambda event, key: (json.dumps(event).encode(), b"eve"),
    "repeated fields": lambda event, key: (
        json.dumps({"at_ms": "then", "type": 1} | event).encode(),
        key,
    ),
    "bot": _mangled(lambda event: event | {"context": {"bot": True}}),
    "crawler": _mangled(lambda event: event | {"context": {"user_agent": "Googlebot/2.1"}}),
    "person": _mangled(lambda event: event | {"context": {"bot": False, "country": "AT"}}),
}
REPEATED = "repeated"  # with the id of the shopper's act before


def _elsewhere(kind):
    return DEEDS["looks" if TOPIC_OF_TYPE[kind] != "page-views" else "adds p1"]


def is_robot(user_agent: str) -> bool:
    """Say what the maintained list says of the user agents that occur here."""
    return user_agent.startswith("Googlebot")


@st.composite
def logs(draw, *, gaps=ANY_GAPS_MS, latenesses=ANY_LATENESSES_MS, deeds=DEEDS, max_size=30):
    """Draw a log: as a rule everybody consents first, so that something may happen at all."""
    first = draw(st.sampled_from(OPENINGS))
    act = st.builds(
        Act,
        st.sampled_from(tuple(WHOS)),
        st.sampled_from((*LIKELY, *deeds)),
        st.sampled_from(gaps),
        st.sampled_from((*[0] * 15, *latenesses)),
        st.sampled_from((*[None] * 60, *[REPEATED] * 3, *MISHAPS)),
    )
    size = draw(st.integers(1, max_size))
    return [*first, *draw(st.lists(act, min_size=size, max_size=size))]


OPENINGS = (
    [],
    [Act(who, deed) for who in WHOS for deed in ("allows both", "adds p1")],
    [Act("ann", "allows both"), Act("ann", "adds p1"), Act("ann", "looks", SECOND)],
    [Act(who, "allows both") for who in WHOS],
    [Act("bob", "allows both for a while"), Act("bob", "adds p2")],
)


def written(acts, start_ms=T0) -> list[Message]:
    """Return the records of a log in the order in which they are stored."""
    found: list[Message] = []
    ends: dict[str, int] = {}
    ids: dict[str, str] = {}
    now_ms = start_ms
    for number, act in enumerate(acts):
        now_ms += act.gap_ms
        event_id = ids.get(act.who, "e") if act.mishap == REPEATED else f"e{number}"
        ids[act.who] = event_id
        topic, value, key = _record(act, event_id, now_ms - act.late_ms)
        ends[topic] = ends.get(topic, 0) + 1
        found.append(Message(topic, 0, ends[topic] - 1, now_ms, key, value, {}))
    return found


def _record(act: Act, event_id: str, at_ms: int) -> tuple[str, bytes | None, bytes | None]:
    event: dict[str, Any] = {**DEEDS[act.deed], **WHOS[act.who], "id": event_id, "at_ms": at_ms}
    if event.get("valid_until_ms") is not None:
        event["valid_until_ms"] += at_ms
    key = event["visitor"].encode()
    mangle = MISHAPS.get(act.mishap or "", _mangled(lambda event: event))
    return (TOPIC_OF_TYPE[event["type"]], *mangle(event, key))


# TopicMetadata, because chance seldom tells them.
FILLED = [Act("ann", "allows both"), Act("ann", "adds p1", 10 * MINUTE)]
STORIES = (
    [*FILLED, Act("ann", "orders", 40 * MINUTE, 20 * MINUTE), Act("ann", "adds p1")],
    [FILLED[0], Act("ann", "adds p2"), Act("ann", "orders a nameless cart")],
    [*FILLED, Act("ann", "withdraws e-mail"), Act("ann", "allows both"), Act("ann", "looks")],
    [*FILLED, Act("ann", "updates to both", 5 * MINUTE, 10 * MINUTE)],
    [*FILLED, Act("ann", "adds a cheap p1", 5 * MINUTE, 10 * MINUTE)],
    [*FILLED, Act("ann", "withdraws e-mail", MINUTE), Act("ann", "allows e-mail", MINUTE)],
    [*FILLED, Act("ann", "looks", IDLE)],
    [Act("ann", "allows both until the reminder"), Act("ann", "adds p1")],
    [*FILLED, *[Act("ann", "is leaving"), Act("ann", "looks", 2 * HOUR), Act("ann", "is leaving")]],
    [*FILLED, Act("ann", "is erased", MINUTE), Act("ann", "allows both", MINUTE, 2 * MINUTE)],
    # Ann is forgotten 13 months after she was seen, Bob after he agreed; or Ann returns before.
    [*FILLED, Act("bob", "allows ads", HOUR), Act("bob", "looks", 395 * DAY)],
    [*FILLED, Act("ann", "looks", 394 * DAY), Act("bob", "looks", 181 * DAY)],
    [*FILLED, Act("bob", "looks", 181 * DAY), Act("ann", "withdraws personalization", 214 * DAY)],
    # A late refusal and a late new grant, and what a reminder was about is told again.
    [
        *[*FILLED, Act("bob", "looks", 31 * MINUTE)],
        Act("ann", "withdraws personalization", 9 * MINUTE, 45 * MINUTE),
        Act("ann", "allows both", late_ms=44 * MINUTE),
        Act("ann", "adds a cheap p1", late_ms=40 * MINUTE),
    ],
)
