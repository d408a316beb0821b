"""The names that Shopify has for things of one visitor: ``cart/TOKEN``, ``order/17`` and so on.

Tokens of carts and checkouts are secrets between a shopper and the shop, so a page may say whose
they are. Numbers of orders and customers can be guessed: only webhooks, which are signed, do.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from stream.mappers.reading import record, text

Given = Mapping[str, Any]

REDACTION: Final = "customers/redact"
CUSTOMER: Final = "customer"
# Far more than a customer has, and a bound on what one request looks up.
MOST_ORDERS: Final = 1000


def plain_id(value: object) -> str | None:
    """Return the end of an id: pixels write ``gid://shopify/Order/1``, webhooks ``1``.

    Examples
    --------
    >>> plain_id("gid://shopify/Cart/c1-7a?key=9"), plain_id(1)
    ('c1-7a', '1')
    """
    found = text(value)
    return re.sub(r"^gid://shopify/\w+/|\?.*$", "", found) or None if found else None


def of_page(data: Given) -> tuple[str, ...]:
    """Return the names in the data of a pixel's event."""
    cart, checkout = record(data.get("cart")), record(data.get("checkout"))
    return _named(("checkout", checkout.get("token")), ("cart", cart.get("id")))


def of_webhook(topic: str, given: Given) -> tuple[str, ...]:
    """Return the names in a webhook's body, the best for finding its visitor first."""
    match topic.partition("/")[0]:
        case "carts":
            return _named(("cart", given.get("token")), ("cart", given.get("id")))
        case "checkouts":
            return _named(("checkout", given.get("token")), ("cart", given.get("cart_token")))
        case "refunds":
            return _named(("order", given.get("order_id")))
        case "orders":
            customer = record(given.get("customer")).get("id")
            return _named(
                ("checkout", given.get("checkout_token")),
                ("cart", given.get("cart_token")),
                ("order", given.get("id")),
                (CUSTOMER, customer),
            )
        case _:
            return ()


def searched_by(topic: str | None, given: Given) -> tuple[str, ...]:
    """Return the names by which a webhook's visitor may be found; none if it needs none.

    Several people may buy as one customer, so a customer's number finds visitors only where all
    of them are meant: in a redaction.
    """
    if topic is None:
        return ()
    if topic == REDACTION:
        orders = given.get("orders_to_redact")
        listed = orders[:MOST_ORDERS] if isinstance(orders, list) else []
        customer = (CUSTOMER, record(given.get("customer")).get("id"))
        return _named(customer, *(("order", order) for order in listed))
    found = of_webhook(topic, given)
    return tuple(name for name in found if not name.startswith(f"{CUSTOMER}/"))


def _named(*given: tuple[str, object]) -> tuple[str, ...]:
    ids = ((kind, plain_id(value)) for kind, value in given)
    return tuple(dict.fromkeys(f"{kind}/{one}" for kind, one in ids if one))
