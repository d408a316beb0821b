"""Reads texts, numbers, money and times of foreign objects.

An optional value that cannot be read is left out, and its field counted (``losses``); only a
required one makes an event unreadable.
"""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from stream.domain.events import MAX_LINES, MAX_QUANTITY, MAX_SAFE_INTEGER
from stream.domain.ids import make_id
from stream.mappers.losses import is_missing, lose
from stream.mappers.mapped import Fields, Hints, Unreadable
from stream.money import to_minor

ID_CHARACTERS: Final = 64
VISITOR_CHARACTERS: Final = 128
# For texts that only people read.
TEXT_CHARACTERS: Final = 1024
CURRENCY_CHARACTERS: Final = 3
# Headers with the id of a delivery, which stays the same when it is delivered again.
DELIVERIES: Final = ("webhook-id", "x-shopify-webhook-id", "x-wc-webhook-delivery-id")


def record(value: object) -> Mapping[str, Any]:
    """Return an object, or an empty one if it is something else."""
    return value if isinstance(value, dict) else {}


def records(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of an array; no objects if it is something else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(*values: object, most: int = TEXT_CHARACTERS) -> str | None:
    """Return the first text or whole number, cut short; ids are often numbers."""
    for value in values:
        if isinstance(value, str) and value.strip():
            return value.strip()[:most]
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)[:most]
    return None


def required(place: str, *values: object) -> str:
    """Return the first text.

    Raises
    ------
    Unreadable
        There is none.
    """
    found = text(*values)
    if found is None:
        raise Unreadable(f"{place}: missing")
    return found


def number(value: object) -> Decimal | None:
    """Return a number, which may be written as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() and found.copy_abs() <= MAX_SAFE_INTEGER else None


def whole(value: object) -> int | None:
    """Return a whole number."""
    found = number(value)
    return int(found) if found is not None and found == found.to_integral_value() else None


def currency(*values: object) -> str | None:
    """Return the first ISO 4217 code, in capitals."""
    for value in values:
        if isinstance(value, str) and value.isascii() and value.isalpha():
            code = value.upper()
            if len(code) == CURRENCY_CHARACTERS:
                return code
    return None


def minor(amount: object, code: str | None) -> int | None:
    """Return an amount in minor units of its currency; None if it is no amount, or negative.

    Examples
    --------
    >>> minor("18.99", "EUR"), minor(1500, "JPY"), minor(0.29, None)
    (1899, 1500, 29)
    """
    found = number(amount)
    if found is None or found < 0:
        return None
    scaled = to_minor(found, code)
    return scaled if scaled <= MAX_SAFE_INTEGER else None


def quantity(value: object) -> int | None:
    """Return how many, at most 10,000 either way: 1 if it is missing, None if it cannot be read.

    Examples
    --------
    >>> quantity(None), quantity("2"), quantity(-1), quantity(0.5)
    (1, 2, -1, None)
    """
    if is_missing(value):
        return 1
    found = whole(value)
    if found is None:
        lose("quantity", value)
        return None
    return min(max(found, -MAX_QUANTITY), MAX_QUANTITY)


def lines(
    items: object, to_product: Callable[[Mapping[str, Any]], Fields | None]
) -> list[Fields] | None:
    """Return the lines of a cart or an order; None if there is no list, or none can be read.

    A line that cannot be read is left out, and counted; a line of none is no line.
    """
    if not isinstance(items, list):
        lose("lines", items)
        return None
    made, is_lost = [], False
    for item in items:
        product, count = to_product(record(item)), quantity(record(item).get("quantity"))
        if product is None or count is None or count < 0:
            lose("lines", item)
            is_lost = True
        elif count:
            made.append({"product": product, "quantity": count})
    return made[:MAX_LINES] if made or not is_lost else None


def at_ms(*values: object) -> int | None:
    """Return the first moment, ISO 8601 or milliseconds, as milliseconds UTC.

    Examples
    --------
    >>> at_ms(None, "2026-11-27T10:00:00.250Z")
    1795773600250
    """
    for value in values:
        found = _moment(value)
        if found is not None and 0 <= found <= MAX_SAFE_INTEGER:
            return found
        lose("time", value)
    return None


def _moment(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(zoned.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def event_id(vendor: str, given: object, whole_object: object, hints: Hints) -> str:
    """Return an id of 1 to 64 characters: the vendor's own, or a hash of delivery and object.

    What is delivered again has the same id, so the time of receipt is no part of it.
    """
    own = text(given, hints.id, most=10 * TEXT_CHARACTERS)
    if own is not None:
        return own if len(own) <= ID_CHARACTERS else make_id(vendor, own)
    delivery = next((hints.headers[one] for one in DELIVERIES if one in hints.headers), None)
    return make_id(vendor, json.dumps(whole_object, sort_keys=True), delivery)


def visitor_of(place: str, hints: Hints, *values: object) -> str:
    """Return the pseudonymous visitor.

    Raises
    ------
    Unreadable
        There is none, or it is an e-mail address.
    """
    found = text(hints.visitor, *values, most=VISITOR_CHARACTERS + 1)
    if found is None or len(found) > VISITOR_CHARACTERS:
        raise Unreadable(f"{place}: missing, or longer than {VISITOR_CHARACTERS} characters")
    if "@" in found:
        raise Unreadable(f"{place}: holds an @, as e-mail addresses do")
    return found


def without_none(fields: Mapping[str, Any]) -> Fields:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
