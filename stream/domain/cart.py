"""The cart: its lines, its value, and the time of its last change.

A change of the cart is a change of its fingerprint (ids, variants, quantities); prices, names and
pictures may change without one.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct, msgpack
from msgspec.structs import replace

from stream.domain.events import (
    MAX_EVENT_BYTES,
    MAX_LINES,
    MAX_QUANTITY,
    MAX_SAFE_INTEGER,
    CartUpdated,
    Line,
    OrderCompleted,
    Product,
    ProductAdded,
    ProductRemoved,
)
from stream.domain.ids import make_id

MAX_EVIDENCE = 20
# Of a cart's lines as they are stored. Escaped as JSON they take at most six times as much, so
# that a trigger with them is published by Kafka's default limits for what is published here.
MAX_CART_BYTES = 256 * 1024
# A longer name is known by its id.
MAX_NAME = 64

LineId = tuple[str, str | None]

_STORED: Final = msgpack.Encoder()


class CartLine(Struct, array_like=True, gc=False):
    """So many of one product; ``priced_ms`` is the event time of the price it carries."""

    product: Product
    quantity: int
    priced_ms: int

    @property
    def id(self) -> LineId:
        """What identifies a line."""
        return self.product.id, self.product.variant


class Cart(Struct, array_like=True, gc=False):
    """Lines in the order in which they came; ``evidence`` lists the events that changed them.

    ``changed_ms`` is the event time of the newest change, ``replaced_ms`` that of the newest
    ``cart_updated`` that was applied.
    """

    lines: list[CartLine] = []
    name: str | None = None
    fingerprint: str = ""
    changed_ms: int | None = None
    evidence: list[str] = []
    replaced_ms: int | None = None


def fingerprint_of(lines: Sequence[CartLine]) -> str:
    """Return an id of the contents that ignores order and prices; empty for no lines."""
    if not lines:
        return ""
    parts = sorted((make_id(*line.id), line.quantity) for line in lines)
    return make_id("cart", *(part for line in parts for part in line))


def value_of(lines: Sequence[CartLine]) -> tuple[int, str | None]:
    """Return the worth in minor units and its currency, that of the newest priced line.

    Lines in another currency and lines without a price count 0.
    """
    priced = [line for line in lines if line.product.price_minor is not None]
    if not priced:
        return 0, None
    newest = max(enumerate(priced), key=lambda at: (at[1].priced_ms, at[0]))[1]
    currency = newest.product.currency
    worth = sum(
        line.quantity * (line.product.price_minor or 0)
        for line in priced
        if line.product.currency == currency
    )
    return min(worth, MAX_SAFE_INTEGER), currency


def add(cart: Cart, event: ProductAdded, at_ms: int) -> bool:
    """Put a product into the cart; return whether the cart changed."""
    if _is_in_snapshot(cart, at_ms):
        return False
    product, lines = event.product, cart.lines
    line = _find(lines, (product.id, product.variant))
    _put(lines, line, product, event.quantity, at_ms, _room(lines))
    return _settle(cart, event.id, event.cart, at_ms)


def remove(cart: Cart, event: ProductRemoved, at_ms: int) -> bool:
    """Take so many of a product out of the cart; return whether the cart changed."""
    if _is_in_snapshot(cart, at_ms):
        return False
    line = _find(cart.lines, (event.product_id, event.variant))
    if line is not None:
        left = 0 if event.quantity is None else line.quantity - event.quantity
        if left > 0:
            line.quantity = left
        else:
            cart.lines.remove(line)
    return _settle(cart, event.id, event.cart, at_ms)


def update(cart: Cart, event: CartUpdated, at_ms: int) -> bool:
    """Replace the cart, unless a newer change is known; return whether the cart changed."""
    if cart.changed_ms is not None and at_ms < cart.changed_ms:
        return False
    cart.replaced_ms = at_ms if cart.replaced_ms is None else max(cart.replaced_ms, at_ms)
    cart.lines = []
    known: dict[LineId, CartLine | None] = {}
    for line in event.lines:
        line_id = _line_id(line)
        known[line_id] = _put(
            cart.lines,
            known.get(line_id),
            line.product,
            line.quantity,
            at_ms,
            MAX_EVENT_BYTES,  # one event cannot fill a cart
        )
    return _settle(cart, event.id, event.cart, at_ms)


def complete(cart: Cart, event: OrderCompleted, at_ms: int) -> bool:
    """Take out what was bought: everything, or of another cart's order the lines it names."""
    # An empty text names no cart.
    if event.cart and cart.name and _kept(event.cart) != cart.name:
        bought = {_line_id(line) for line in event.lines or ()}
        cart.lines = [line for line in cart.lines if line.id not in bought]
    else:
        cart.lines = []
    return _settle(cart, event.id, None, at_ms)


def rename(cart: Cart, name: str | None) -> None:
    """Give the cart the name that an event gave it; an empty cart has none."""
    cart.name = (_kept(name) if name else cart.name) if cart.lines else None


def _is_in_snapshot(cart: Cart, at_ms: int) -> bool:
    """Say whether the newest ``cart_updated`` already includes what happened at ``at_ms``."""
    return cart.replaced_ms is not None and at_ms < cart.replaced_ms


def _kept(name: str) -> str:
    return name if len(name) <= MAX_NAME else make_id("cart name", name)


def _line_id(line: Line) -> LineId:
    return line.product.id, line.product.variant


def _find(lines: list[CartLine], line_id: LineId) -> CartLine | None:
    return next((line for line in lines if line.id == line_id), None)


def _put(  # noqa: PLR0913, PLR0917 - the cart, what comes into it, and its bounds
    lines: list[CartLine],
    line: CartLine | None,
    product: Product,
    quantity: int,
    at_ms: int,
    room: int,
) -> CartLine | None:
    """Add to the product's ``line``, or append one if it has none; return it, None without room."""
    if line is not None:
        line.quantity = min(line.quantity + quantity, MAX_QUANTITY)
        _reprice(line, product, at_ms, room)
    elif len(lines) < MAX_LINES and _fits(product, None, room):
        line = CartLine(product, quantity, at_ms)
        lines.append(line)
    return line


def _reprice(line: CartLine, product: Product, at_ms: int, room: int) -> None:
    known = line.product
    # Where there is no room for what else is new about it, the known product takes the price.
    shown = product if _fits(product, known, room) else known
    price, currency = product.price_minor, product.currency or known.currency
    if price is None:
        if at_ms >= line.priced_ms:
            line.product = replace(shown, price_minor=known.price_minor, currency=known.currency)
    elif known.price_minor is None or at_ms >= line.priced_ms:
        line.product = replace(shown, price_minor=price, currency=currency)
        line.priced_ms = at_ms


def _room(lines: list[CartLine]) -> int:
    # As many lines as whole records fit are not measured: most carts are that small.
    if (len(lines) + 1) * MAX_EVENT_BYTES <= MAX_CART_BYTES:
        return MAX_EVENT_BYTES
    return MAX_CART_BYTES - _bytes(lines)


def _fits(product: Product, known: Product | None, room: int) -> bool:
    """Say whether there is room for a product in place of the known one."""
    if room >= MAX_EVENT_BYTES:  # it came in one event, and takes less than that did
        return True
    return _bytes(product) - (0 if known is None else _bytes(known)) <= max(room, 0)


def _bytes(stored: Product | list[CartLine]) -> int:
    return len(_STORED.encode(stored))


def _settle(cart: Cart, event_id: str, name: str | None, at_ms: int) -> bool:
    rename(cart, name)
    fingerprint = fingerprint_of(cart.lines)
    if fingerprint == cart.fingerprint:
        return False
    cart.fingerprint = fingerprint
    cart.changed_ms = at_ms if cart.changed_ms is None else max(cart.changed_ms, at_ms)
    cart.evidence = [*cart.evidence, event_id][-MAX_EVIDENCE:] if cart.lines else []
    return True
