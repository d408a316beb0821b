"""Parts of canonical events. A vendor's module finds the values, this one converts them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from stream.domain.ids import make_id
from stream.mappers.losses import is_missing, lose
from stream.mappers.mapped import Fields
from stream.mappers.reading import currency, minor, quantity, records, text, without_none

# ISO 4217's code for "no currency": an order must count even if its currency is missing.
NO_CURRENCY: Final = "XXX"


def product(
    named: object, *, price: object = None, code: object = None, **texts: object
) -> Fields | None:
    """Return a product with ``texts`` as its other fields; None if it has no id."""
    product_id, iso = text(named), currency(code)
    if product_id is None:
        return None
    others = {name: _told(name, value) for name, value in texts.items()}
    prices = {"price_minor": amount("price", price, iso), "currency": iso}
    return without_none({"id": product_id, **others, **prices})


def amount(field: str, given: object, code: str | None) -> int | None:
    """Return an amount in minor units; one that cannot be read is counted as lost."""
    found = minor(given, code)
    if found is None:
        lose(field, given)
    return found


def added(product: Fields, count: object, cart: object = None) -> Fields | None:
    """Return what so many more of a product are: less than none is a removal, 0 is no event."""
    found = quantity(count)
    if found is not None and found < 0:
        return removed(product, found, cart)
    if not found:
        return None
    optional = without_none({"cart": text(cart)})
    return {"type": "product_added", "product": product, "quantity": found, **optional}


def removed(gone: Fields, count: object, cart: object = None) -> Fields | None:
    """Return the removal of so many of a product: of all without a count, no event for 0."""
    found = quantity(count)
    if not found:
        return None
    optional = {
        "variant": gone.get("variant"),
        "quantity": None if is_missing(count) else abs(found),
        "cart": text(cart),
    }
    return {"type": "product_removed", "product_id": gone["id"], **without_none(optional)}


def ordered(
    order: str, total: object, code: object, bought: list[Fields] | None, cart: object = None
) -> Fields:
    """Return an order; its total is 0 if it is missing, because the order itself must count."""
    iso = currency(code)
    return {
        "type": "order_completed",
        "order": order,
        "total_minor": amount("total", total, iso) or 0,
        "currency": iso or NO_CURRENCY,
        **without_none({"lines": bought or None, "cart": text(cart)}),
    }


def refunded(order: str, total: object, code: object) -> Fields:
    """Return the refund of an order."""
    return {
        "type": "order_refunded",
        "order": order,
        "total_minor": amount("total", total, currency(code)) or 0,
    }


def checkout(started: Fields, found: list[Fields] | None) -> list[Fields]:
    """Return the beginning of a checkout, and beside it the cart, if there are lines.

    Otherwise the cart of a shopper who buys at once, without a cart, would be empty.
    """
    named = {"cart": started["cart"]} if "cart" in started else {}
    return [started, *([{"type": "cart_updated", "lines": found, **named}] if found else [])]


def numbered(vendor: str, common: Fields, made: Sequence[Fields]) -> tuple[Fields, ...]:
    """Return the events that one object of a vendor becomes, each with an id of its own.

    Examples
    --------
    >>> one, two = numbered("shopify", {"id": "e1"}, [{"type": "a"}, {"type": "b"}])
    >>> one["id"], two["id"] == one["id"]
    ('e1', False)
    """
    own = common["id"]
    ids = (make_id(vendor, own, number) if number else own for number in range(len(made)))
    return tuple(common | {"id": one} | fields for one, fields in zip(ids, made, strict=True))


def in_currency(given: Mapping[str, Any], *codes: object) -> Fields:
    """Return an event or an item with a currency: its own, else the first valid one of ``codes``.

    Amounts are scaled by it, so it has to be known first. A null, an empty text and what is no code
    count as absent.

    Examples
    --------
    >>> in_currency({"currency": ""}, None, "jpy")
    {'currency': 'JPY'}
    """
    own = currency(given.get("currency"))
    if own is None:
        lose("currency", given.get("currency"))
    return {**given, "currency": own or currency(*codes)}


def items_in_currency(items: object, *codes: object) -> list[Fields]:
    """Return the items of a cart or an order, each with a currency."""
    return [in_currency(one, *codes) for one in records(items)]


def _told(field: str, value: object) -> str | None:
    found = text(value)
    if found is None:
        lose(field, value)
    return found
