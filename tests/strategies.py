"""Random event logs for property tests: what shoppers do, with all that goes wrong on the way.

A log is what a merge hands to the fold. So its records come in merged order, event
times are clamped, and a producer's repetitions, late and early events are in it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st

from stream.domain.events import (
    CartUpdated,
    CheckoutStarted,
    ConsentUpdated,
    ErasureRequested,
    Event,
    ExitSignalled,
    Line,
    OrderCompleted,
    PageLeft,
    PageViewed,
    Product,
    ProductAdded,
    ProductRemoved,
    Purposes,
)
from stream.domain.policy import DAY_MS, FUTURE_MS, HOUR_MS, LATENESS_MS, MINUTE_MS
from stream.domain.topics import LANES, TOPIC_OF
from stream.domain.visitor import VisitorKey
from stream.shard.clock import Fact

# Bounded by the number of examples, never by time: slow machines prove as much as fast ones. On
# the build server Hypothesis draws the same examples in every run, because ``CI`` is set there.
BOUNDED = settings(deadline=None, max_examples=60)

WHOS = (VisitorKey("shop", "ann"), VisitorKey("shop", "bob"), VisitorKey("other", "ann"))
START_MS = 1_600_000_000_000
IDLE_MS = 30 * MINUTE_MS
# Moments at which something happens or just does not: ties, idle time, horizon, follow-ups.
GAPS_MS = (
    *(0, 0, 1, 1_000, 1_000, 20_000, 20_000, MINUTE_MS, MINUTE_MS, 10 * MINUTE_MS, 20 * MINUTE_MS),
    *(IDLE_MS - 1, IDLE_MS, IDLE_MS + 1),
    *(HOUR_MS, 5 * HOUR_MS, DAY_MS, DAY_MS + IDLE_MS, 3 * DAY_MS, 8 * DAY_MS),
)
LATENESSES_MS = (
    *(0, 0, 0, 0, 0, 0, 1, 5_000, MINUTE_MS, IDLE_MS, 2 * HOUR_MS, LATENESS_MS),
    *(-1, -FUTURE_MS),
)
MISHAPS = (*[None] * 14, "repeated", "bot")
# Most people don't choose again and again.
CHOICE_SHARE = 8


class Act(NamedTuple):
    """What one shopper does, ``gap_ms`` after whatever happened before in the shard."""

    who: VisitorKey
    gap_ms: int
    late_ms: int
    kind: type[Event]
    fields: dict[str, object]
    mishap: str | None = None


def _acts_of(kind, **fields):
    return st.tuples(st.just(kind), st.fixed_dictionaries(fields))


CART_NAMES = st.sampled_from([None, None, None, "A", "B"])
PRODUCTS = st.builds(
    Product,
    id=st.sampled_from(["p1", "p2", "p3"]),
    variant=st.sampled_from([None, None, "red"]),
    price_minor=st.sampled_from([None, 0, 999, 1000, 5000]),
    currency=st.sampled_from(["EUR", "EUR", "USD", None]),
)
QUANTITIES = st.sampled_from([1, 1, 2, 3, 9_999, 10_000])
LINES = st.lists(st.builds(Line, product=PRODUCTS, quantity=QUANTITIES), max_size=3)
STATUSES = st.sampled_from([None, None, "granted", "granted", "denied", "withdrawn"])
PURPOSES = st.builds(Purposes, personalization=STATUSES, marketing_email=STATUSES, ads=STATUSES)
ADDITIONS = _acts_of(ProductAdded, product=PRODUCTS, quantity=QUANTITIES, cart=CART_NAMES)
EXITS = _acts_of(
    ExitSignalled,
    signal=st.just("tab_hidden"),
    dwell_ms=st.sampled_from([4_000, 9_000, 9_000, 3_999, 0]),
)
BEHAVIOUR = st.one_of(
    ADDITIONS,
    ADDITIONS,
    ADDITIONS,
    EXITS,
    EXITS,
    _acts_of(PageViewed, url=st.just("/")),
    _acts_of(PageViewed, url=st.just("/")),
    _acts_of(PageLeft, url=st.just("/"), dwell_ms=st.just(100)),
    _acts_of(
        ProductRemoved,
        product_id=st.sampled_from(["p1", "p2"]),
        quantity=st.sampled_from([None, 1]),
    ),
    _acts_of(CartUpdated, lines=LINES, cart=CART_NAMES),
    _acts_of(CheckoutStarted, cart=CART_NAMES),
    _acts_of(
        OrderCompleted,
        order=st.sampled_from(["o1", "o2", "o3", "o4"]),
        total_minor=st.just(1000),
        currency=st.just("EUR"),
        lines=st.none() | LINES,
        cart=CART_NAMES,
    ),
)
CONSENT = st.one_of(
    _acts_of(ConsentUpdated, purposes=PURPOSES, valid_until_ms=st.none()),
    _acts_of(
        ConsentUpdated,
        purposes=PURPOSES,
        # From the moment of the choice, as ``written`` reads it.
        valid_until_ms=st.sampled_from([-1, 0, IDLE_MS, HOUR_MS, DAY_MS]),
    ),
    *[
        _acts_of(
            ConsentUpdated,
            purposes=st.just(Purposes(personalization="granted", marketing_email="granted")),
        )
    ]
    * 3,
    _acts_of(ErasureRequested),
)
# Without this most logs would be refused from beginning to end.
OPENINGS = st.sampled_from(
    [
        None,
        Purposes(personalization="granted"),
        Purposes(marketing_email="granted"),
        *[Purposes(personalization="granted", marketing_email="granted")] * 5,
    ]
)


@st.composite
def acts(draw, whos: Sequence[VisitorKey] = WHOS, *, consent=CONSENT):
    """Draw one thing that a shopper does; ``consent=None`` leaves all choices as they are."""
    chooses = consent is not None and draw(st.integers(0, CHOICE_SHARE)) == 0
    kind, fields = draw(consent if chooses else BEHAVIOUR)
    return Act(
        who=draw(st.sampled_from(whos)),
        gap_ms=draw(st.sampled_from(GAPS_MS)),
        late_ms=draw(st.sampled_from(LATENESSES_MS)),
        kind=kind,
        fields=fields,
        mishap=draw(st.sampled_from(MISHAPS)),
    )


@st.composite
def logs(
    draw, whos: Sequence[VisitorKey] = WHOS, *, openings=OPENINGS, consent=CONSENT, max_size=40
):
    """Draw a shard's log as facts in merged order: at most ``max_size`` after the first choices."""
    openers = [(who, purposes) for who in whos if (purposes := draw(openings)) is not None]
    first = [Act(who, 0, 0, ConsentUpdated, {"purposes": purposes}) for who, purposes in openers]
    # A list of unbounded size is short as a rule, and little happens in a short log.
    size = draw(st.integers(1, max_size))
    more = draw(st.lists(acts(whos, consent=consent), min_size=size, max_size=size))
    return merged(written([*first, *more]))


def written(deeds: Sequence[Act]) -> list[Fact]:
    """Return the records that producers write; a repetition carries the id of the one before."""
    facts: list[Fact] = []
    ids: dict[VisitorKey, str] = {}
    record_ms = START_MS
    for number, act in enumerate(deeds):
        record_ms += act.gap_ms
        event_id = ids.get(act.who, "e") if act.mishap == "repeated" else f"e{number}"
        ids[act.who] = event_id
        facts.append(_fact(act, event_id, record_ms))
    return facts


def _fact(act: Act, event_id: str, record_ms: int) -> Fact:
    at_ms = record_ms - act.late_ms
    fields = dict(act.fields)
    if fields.get("valid_until_ms") is not None:
        fields["valid_until_ms"] += at_ms
    event = act.kind(
        id=event_id, tenant=act.who.tenant, visitor=act.who.visitor, at_ms=at_ms, **fields
    )
    return Fact(act.who, event, at_ms, record_ms, TOPIC_OF[act.kind], act.mishap == "bot")


def merged(facts: Sequence[Fact]) -> list[Fact]:
    """Return facts in the contract's order: record time, then topic, then as they were written."""
    ranks = {topic: rank for rank, topic in enumerate(LANES)}
    return sorted(facts, key=lambda fact: (fact.record_ms, ranks[fact.topic]))
