"""Parts of canonical events, made of what vendors call by other names.

The one rule: a vendor's module says where a value stands; what is made of it is said here, once.
"""

from collections.abc import Mapping
from typing import Any, Final

from stream.mappers.mapped import Fields
from stream.mappers.reading import currency, minor, quantity, records, text, whole, without_none

# ISO 4217's code for "no currency": an order must count even where its currency is not told.
NO_CURRENCY: Final = "XXX"


def product(
    named: object, *, price: object = None, code: object = None, **texts: object
) -> Fields | None:
    """Return a product, ``texts`` being its other fields; None where nothing names it."""
    known, iso = text(named), currency(code)
    if known is None:
        return None
    told = {name: text(value) for name, value in texts.items()}
    return without_none({"id": known, **told, "price_minor": minor(price, iso), "currency": iso})


def removed(gone: Fields, count: object, cart: object = None) -> Fields:
    """Return that a product was taken out; without a number the whole line goes."""
    told = {
        "variant": gone.get("variant"),
        "quantity": quantity(count) if whole(count) else None,
        "cart": text(cart),
    }
    return {"type": "product_removed", "product_id": gone["id"], **without_none(told)}


def ordered(
    order: str, total: object, code: object, bought: list[Fields], cart: object = None
) -> Fields:
    """Return that something was bought; 0 for what, because that it was counts for more."""
    iso = currency(code)
    return {
        "type": "order_completed",
        "order": order,
        "total_minor": minor(total, iso) or 0,
        "currency": iso or NO_CURRENCY,
        **without_none({"lines": bought or None, "cart": text(cart)}),
    }


def refunded(order: str, total: object, code: object) -> Fields:
    """Return that an order was paid back."""
    return {
        "type": "order_refunded",
        "order": order,
        "total_minor": minor(total, currency(code)) or 0,
    }


def in_currency(items: object, code: object) -> list[Mapping[str, Any]]:
    """Return the items of a cart or an order, whose currency may be told once for all."""
    iso = currency(code)
    return [({"currency": iso} if iso else {}) | dict(one) for one in records(items)]
