"""Section 3, The cart."""

from typing import Any

from tests.reference.decoding import PRODUCT, SAFE
from tests.reference.shop import Behaviour, Line

MAX_LINES, MAX_QUANTITY, MAX_EVIDENCE = 500, 10_000, 20


def add(known: Behaviour, event: dict[str, Any], at_ms: int) -> None:
    """Handle ``product_added``; one from before the last order does not refill the cart."""
    if _is_before_last_order(known, at_ms) or _is_in_newest_update(known, at_ms):
        return
    lines = [Line(dict(one.product), one.quantity, one.priced_ms) for one in known.lines]
    _put(lines, event["product"], event["quantity"], at_ms)
    _becomes(known, lines, event, at_ms, event.get("cart"))


def remove(known: Behaviour, event: dict[str, Any], at_ms: int) -> None:
    """Handle ``product_removed``: lower the line's quantity, or drop the line."""
    if _is_in_newest_update(known, at_ms):
        return
    lines = []
    for one in known.lines:
        left = one.quantity
        if one.id == (event["product_id"], event.get("variant")):
            left = left - event["quantity"] if event.get("quantity") is not None else 0
        if left > 0:
            lines.append(Line(one.product, left, one.priced_ms))
    _becomes(known, lines, event, at_ms, event.get("cart"))


def update(known: Behaviour, event: dict[str, Any], at_ms: int) -> None:
    """Handle ``cart_updated``, unless it is older than the last order or the newest change."""
    if _is_before_last_order(known, at_ms):
        return
    if known.cart_changed_ms is not None and at_ms < known.cart_changed_ms:
        return
    known.cart_updated_ms = max(at_ms, known.cart_updated_ms or at_ms)
    lines: list[Line] = []
    for one in event["lines"]:
        _put(lines, one["product"], one["quantity"], at_ms)
    _becomes(known, lines, event, at_ms, event.get("cart"))


def buy(known: Behaviour, event: dict[str, Any], at_ms: int) -> None:
    """Handle ``order_completed``: all is gone, or of another cart's order the lines it names."""
    lines: list[Line] = []
    if event.get("cart") and known.cart_name and event["cart"] != known.cart_name:
        named = [one["product"] for one in event.get("lines") or []]
        bought = [(product["id"], product.get("variant")) for product in named]
        lines = [one for one in known.lines if one.id not in bought]
    _becomes(known, lines, event, at_ms, None)


def check_out(known: Behaviour, event: dict[str, Any], at_ms: int) -> None:
    """Handle ``checkout_started``, which may name the cart."""
    _name(known, event.get("cart"))


def worth(lines: list[Line]) -> tuple[int, str | None]:
    """Add the lines in the currency of the newest priced line; the others count 0."""
    priced = [line for line in lines if line.product.get("price_minor") is not None]
    if not priced:
        return 0, None
    newest = priced[0]
    for line in priced:
        if line.priced_ms >= newest.priced_ms:
            newest = line
    currency = newest.product.get("currency")
    same = [line for line in priced if line.product.get("currency") == currency]
    return min(sum(one.quantity * one.product["price_minor"] for one in same), SAFE), currency


def _name(known: Behaviour, given: str | None) -> None:
    """Remember the last name that an event gave; an empty cart has none."""
    if not known.lines:
        known.cart_name = None
    elif given:
        known.cart_name = given


def _is_before_last_order(known: Behaviour, at_ms: int) -> bool:
    return known.last_order_ms is not None and at_ms < known.last_order_ms


def _is_in_newest_update(known: Behaviour, at_ms: int) -> bool:
    """Older than the newest ``cart_updated``: that snapshot of the whole cart has it already."""
    return known.cart_updated_ms is not None and at_ms < known.cart_updated_ms


def _becomes(
    known: Behaviour, lines: list[Line], event: dict[str, Any], at_ms: int, given: str | None
) -> None:
    """Give the cart its new lines. Only other ids, variants or quantities are a change of it."""
    before = known.contents
    known.lines = lines
    _name(known, given)
    if known.contents == before:
        return
    if known.cart_changed_ms is None or at_ms > known.cart_changed_ms:
        known.cart_changed_ms = at_ms
    known.cart_evidence = [*known.cart_evidence, event["id"]][-MAX_EVIDENCE:] if lines else []
    known.follow_up = None


def _put(lines: list[Line], product: dict[str, Any], quantity: int, at_ms: int) -> None:
    product = {field: product[field] for field in PRODUCT if product.get(field) is not None}
    for line in lines:
        if line.id == (product["id"], product.get("variant")):
            line.quantity = min(line.quantity + quantity, MAX_QUANTITY)
            _describe(line, product, at_ms)
            return
    if len(lines) < MAX_LINES:
        lines.append(Line(product, quantity, at_ms))


def _describe(line: Line, product: dict[str, Any], at_ms: int) -> None:
    """Take the newest price; without one the known price stays, and its currency with it."""
    known, is_newer = line.product, at_ms >= line.priced_ms
    price = {field: known[field] for field in ("price_minor", "currency") if field in known}
    if "price_minor" not in product:
        if is_newer:
            told = {field: product[field] for field in product if field != "currency"}
            line.product = told | price
    elif is_newer or "price_minor" not in known:
        line.product = {
            **({"currency": known["currency"]} if "currency" in known else {}),
            **product,
        }
        line.priced_ms = at_ms
