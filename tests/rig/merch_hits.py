"""What one hit of the shop says, as canonical events; ``merch_store`` tells the rules.

The one rule: hits come in the order of time, since each is read in the light of those before it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

Event = dict[str, Any]
Row = dict[str, str]

MAX_QUANTITY = 10_000
MICROS_PER_MINOR = 10_000
CURRENCY = "USD"

# Upper bounds of the groups among 10,000 equal parts.
GROUPS = {
    "full": 6_960,
    "expiring": 7_000,
    "personal_only": 8_500,
    "silent": 9_500,
    "withdrawing": 10_000,
}
ALL_PURPOSES = ("personalization", "marketing_email", "analytics")
WITHDRAWN = ("personalization", "marketing_email")

# The most frequent ones; a visitor from elsewhere has no country.
COUNTRIES = {
    "Argentina": "AR", "Australia": "AU", "Belgium": "BE", "Brazil": "BR", "Canada": "CA",
    "China": "CN", "Colombia": "CO", "Czechia": "CZ", "Denmark": "DK", "France": "FR",
    "Germany": "DE", "Hong Kong": "HK", "India": "IN", "Indonesia": "ID", "Ireland": "IE",
    "Israel": "IL", "Italy": "IT", "Japan": "JP", "Malaysia": "MY", "Mexico": "MX",
    "Netherlands": "NL", "Norway": "NO", "Pakistan": "PK", "Peru": "PE", "Philippines": "PH",
    "Poland": "PL", "Romania": "RO", "Russia": "RU", "Singapore": "SG", "South Korea": "KR",
    "Spain": "ES", "Sweden": "SE", "Switzerland": "CH", "Taiwan": "TW", "Thailand": "TH",
    "Turkey": "TR", "Ukraine": "UA", "United Kingdom": "GB", "United States": "US",
    "Venezuela": "VE", "Vietnam": "VN",
}  # fmt: skip
REFERRERS = {
    channel: f"https://{channel.lower().replace(' ', '-')}.example/"
    for channel in ("Organic Search", "Referral", "Social", "Paid Search", "Affiliates", "Display")
}


def group_of(visitor: str) -> str:
    """Return the consent group of a visitor, one of ``GROUPS``."""
    part = int.from_bytes(hashlib.sha256(visitor.encode()).digest()[:8]) % 10_000
    return next(group for group, bound in GROUPS.items() if part < bound)


class _Session:
    """When a session began, and when it first showed each of its pages."""

    def __init__(self, now_ms: int) -> None:
        self.began_ms = now_ms
        self.shown_ms: dict[str, int] = {}

    def dwell_ms(self, page: str, now_ms: int) -> int:
        return now_ms - self.shown_ms[page] or now_ms - self.began_ms


class Shop:
    """Turns hits into events, one after the other; knows what earlier hits have told."""

    def __init__(self, last_hits: dict[str, int]) -> None:
        self._last_hits = last_hits
        self._known: set[str] = set()
        self._carted: set[str] = set()
        self._sessions: dict[tuple[str, str], _Session] = {}
        self._totals: dict[str, int] = {}

    def events_of(self, row: Row, now_ms: int) -> Iterator[Event]:
        visitor, visit = row["fullVisitorId"], row["visitId"]
        if visitor not in self._known:
            self._known.add(visitor)
            yield from self._consent(visitor, now_ms)
        landing = (visitor, visit) not in self._sessions
        session = self._sessions.setdefault((visitor, visit), _Session(now_ms))
        session.shown_ms.setdefault(row["page_path"], now_ms)
        yield from self._hit(row, now_ms, landing=landing)
        if row["is_exit"] == "1":
            yield self._exit(row, now_ms, session)
            del self._sessions[visitor, visit]

    def _consent(self, visitor: str, now_ms: int) -> Iterator[Event]:
        group = group_of(visitor)
        if group == "silent":
            return
        purposes = ("personalization",) if group == "personal_only" else ALL_PURPOSES
        event = _consent_updated(f"c-{visitor}", visitor, now_ms, purposes, "granted")
        if group == "expiring":
            event["valid_until_ms"] = (now_ms + self._last_hits[visitor]) // 2
        yield event

    def _hit(self, row: Row, now_ms: int, *, landing: bool) -> Iterator[Event]:
        for number, fields in enumerate(self._facts(row)):
            if landing and fields["type"] == "page_viewed" and row["channel"] in REFERRERS:
                fields["referrer"] = REFERRERS[row["channel"]]
            yield _event(row, now_ms, f"h{number}", fields)
            if fields["type"] == "product_added":
                yield from self._withdrawal(row["fullVisitorId"], now_ms + 1)

    def _withdrawal(self, visitor: str, at_ms: int) -> Iterator[Event]:
        if visitor not in self._carted and group_of(visitor) == "withdrawing":
            yield _consent_updated(f"w-{visitor}", visitor, at_ms, WITHDRAWN, "withdrawn")
        self._carted.add(visitor)

    def _facts(self, row: Row) -> list[Event]:
        match row["event"]:
            case "page_view" | "ui_event":
                return [_page_viewed(row)]
            case "product_view" | "product_click":
                return [_products_viewed(row)]
            case "add_to_cart":
                return [{"type": "product_added", **line} for line in _lines(row)]
            case "remove_from_cart":
                return _products_removed(row)
            case "checkout_step":
                return [_checkout(int(row["checkout_step"]))]
            case "purchase":
                return [self._order(row)]
            case unknown:
                raise ValueError(f"a hit that has no mapping: {unknown}")

    def _order(self, row: Row) -> Event:
        order, revenue = row["transaction_id"], row["transaction_revenue_micros"]
        if revenue:
            self._totals[order] = _minor(revenue)
        lines = _lines(row)
        worth = sum(line["product"].get("price_minor", 0) * line["quantity"] for line in lines)
        fact = {
            "type": "order_completed",
            "order": order,
            "total_minor": self._totals.setdefault(order, worth),
            "currency": CURRENCY,
        }
        told = all(quantity.isdigit() for quantity in row["product_qtys"].split("|"))
        return {**fact, "lines": lines} if told else fact

    def _exit(self, row: Row, now_ms: int, session: _Session) -> Event:
        signal = "pointer_left_top" if row["device"] == "desktop" else "tab_hidden"
        dwell_ms = session.dwell_ms(row["page_path"], now_ms)
        fields = {"type": "exit_signalled", "signal": signal, "dwell_ms": dwell_ms}
        return _event(row, now_ms, "x", {**fields, "url": row["page_path"]})


def _event(row: Row, at_ms: int, part: str, fields: Event) -> Event:
    visitor = row["fullVisitorId"]
    context = {"device": row["device"]}
    if row["country"] in COUNTRIES:
        context["country"] = COUNTRIES[row["country"]]
    name = f"{visitor}-{row['visitId']}-{row['hitNumber']}-{part}"
    common = {"type": fields["type"], "id": name, "visitor": visitor, "at_ms": at_ms}
    return {**common, **fields, "context": context}


def _consent_updated(
    name: str, visitor: str, at_ms: int, purposes: Iterable[str], status: str
) -> Event:
    return {
        "type": "consent_updated",
        "id": name,
        "visitor": visitor,
        "at_ms": at_ms,
        "purposes": dict.fromkeys(purposes, status),
    }


def _minor(micros: str) -> int:
    return (int(micros) + MICROS_PER_MINOR // 2) // MICROS_PER_MINOR


def _lines(row: Row) -> list[Event]:
    if not row["product_skus"]:
        return []
    columns = (row["product_skus"], row["product_prices_micros"], row["product_qtys"])
    parts = zip(*(column.split("|") for column in columns), strict=True)
    return [
        {"product": _product(sku, price), "quantity": _quantity(quantity)}
        for sku, price, quantity in parts
    ]


def _product(sku: str, price_micros: str) -> Event:
    if not price_micros.isdigit():
        return {"id": sku}
    return {"id": sku, "price_minor": _minor(price_micros), "currency": CURRENCY}


def _quantity(told: str) -> int:
    return min(max(int(told), 1), MAX_QUANTITY) if told.isdigit() else 1


def _page_viewed(row: Row) -> Event:
    return {"type": "page_viewed", "url": row["page_path"]}


def _products_viewed(row: Row) -> Event:
    products = [line["product"] for line in _lines(row)]
    if not products:
        return _page_viewed(row)
    if len(products) == 1:
        return {"type": "product_viewed", "product": products[0]}
    return {"type": "product_list_viewed", "list": row["page_path"], "products": products}


def _products_removed(row: Row) -> list[Event]:
    facts = []
    for line, told in zip(_lines(row), row["product_qtys"].split("|"), strict=False):
        fact = {"type": "product_removed", "product_id": line["product"]["id"]}
        facts.append({**fact, "quantity": line["quantity"]} if told.isdigit() else fact)
    return facts


def _checkout(step: int) -> Event:
    if step == 1:
        return {"type": "checkout_started"}
    return {"type": "checkout_step_completed", "step": step}
