"""A seeded shop: as many visitors as wanted, with the shape of the real shop's month.

The one rule: the same seed and number of visitors give the same events, sorted by ``at_ms``.
Shares and counts are about those of the real month: a median of 4 and a mean of 9 events per
visitor, one event in four a product view, three in a hundred an addition to the cart.
"""

import heapq
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.rig.merch_hits import ALL_PURPOSES, WITHDRAWN, group_of

FIRST_MS = 1_470_009_600_000
MONTH_MS = 31 * 86_400_000
PRODUCTS = [f"sku-{number:03}" for number in range(400)]
MEAN_LOG, SPREAD_LOG = 1.25, 1.2  # of the number of pages that a visitor looks at
MOST_PAGES = 500
MEAN_PAUSE_MS = 40_000
RETURNS, AWAY_MS = 0.04, 86_400_000
KINDS = ("page", "product", "add", "remove", "checkout", "order")
PARTS = (66, 29, 3, 0.4, 1.2, 0.2)

Event = dict[str, Any]
# When, whose, what; and what that visitor does afterwards.
FoldContext = tuple[int, int, Event, Iterator[Event]]


def events(visitors: int, seed: int = 1) -> Iterator[Event]:
    """Yield what the visitors of a month do."""
    random = Random(seed)
    starts = sorted(FIRST_MS + int(random.random() * MONTH_MS) for _ in range(visitors))
    under_way: list[FoldContext] = []
    for number, start_ms in enumerate(starts):
        while under_way and under_way[0][0] < start_ms:
            yield _take(under_way)
        visit = _visitor(f"v{number:07}", start_ms, Random(seed * 10_000_019 + number))
        heapq.heappush(under_way, (start_ms, number, next(visit), visit))
    while under_way:
        yield _take(under_way)


def _take(under_way: list[FoldContext]) -> Event:
    """Remove and return the earliest event, and have its visitor's next one wait in its place."""
    _, number, event, rest = under_way[0]
    following = next(rest, None)
    if following is None:
        heapq.heappop(under_way)
    else:
        heapq.heapreplace(under_way, (following["at_ms"], number, following, rest))
    return event


def _visitor(visitor: str, at_ms: int, random: Random) -> Iterator[Event]:
    made = 0

    def event(kind: str, **fields: Any) -> Event:  # noqa: ANN401 - whatever a type has
        nonlocal made
        made += 1
        common = {"type": kind, "id": f"{visitor}-{made}", "visitor": visitor, "at_ms": at_ms}
        return common | fields

    group = group_of(visitor)
    if group != "silent":
        granted = ("personalization",) if group == "personal_only" else ALL_PURPOSES
        yield event("consent_updated", purposes=dict.fromkeys(granted, "granted"))
    context = {"device": random.choice(("desktop", "desktop", "mobile")), "country": "US"}
    pages = min(MOST_PAGES, 1 + int(random.lognormvariate(MEAN_LOG, SPREAD_LOG)))
    page_ms, has_added = at_ms, False
    for kind in random.choices(KINDS, PARTS, k=pages):
        fields = _fields(kind, random, f"o-{visitor}-{made}")
        yield event(**fields, context=context)
        if kind == "add" and not has_added and group == "withdrawing":
            at_ms += 1
            yield event("consent_updated", purposes=dict.fromkeys(WITHDRAWN, "withdrawn"))
        has_added |= kind == "add"
        page_ms = at_ms
        leaves = random.random() < RETURNS
        at_ms += 1 + int(random.expovariate(1 / (AWAY_MS if leaves else MEAN_PAUSE_MS)))
    at_ms = page_ms
    yield event(
        "exit_signalled", signal="pointer_left_top", dwell_ms=5_000, url="/home", context=context
    )


def _fields(kind: str, random: Random, order: str) -> Event:
    sku = random.choice(PRODUCTS)
    product = {"id": sku, "price_minor": 100 + 25 * int(sku[-3:]), "currency": "USD"}
    match kind:
        case "page":
            return {"kind": "page_viewed", "url": f"/store.html/{sku}"}
        case "product":
            return {"kind": "product_viewed", "product": product}
        case "add":
            quantity = random.choice((1, 1, 1, 2, 3))
            return {"kind": "product_added", "product": product, "quantity": quantity}
        case "remove":
            return {"kind": "product_removed", "product_id": sku, "quantity": 1}
        case "checkout":
            return {"kind": "checkout_started"}
        case _:
            return {
                "kind": "order_completed",
                "order": order,
                "total_minor": product["price_minor"],
                "currency": "USD",
                "lines": [{"product": product, "quantity": 1}],
            }
