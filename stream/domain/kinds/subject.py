"""What a trigger is about: a cart, products, an order, or nothing.

A subject's fingerprint is part of the trigger's id: the same decision about another subject is
another trigger.
"""

from typing import Final

from msgspec import Struct

from stream.domain.cart import Cart
from stream.domain.events import Product
from stream.domain.ids import make_id
from stream.domain.records import OrderSnapshot

# Of a trigger's products, the most interesting first.
MAX_PRODUCTS: Final = 10


class CartSubject(Struct, frozen=True):
    """The visitor's cart as it is when the trigger is decided."""

    cart: Cart

    @property
    def fingerprint(self) -> str:
        """That of the cart: empty for an empty one."""
        return self.cart.fingerprint


class ProductsSubject(Struct, frozen=True):
    """Some products, the most interesting first; at most `MAX_PRODUCTS` are published."""

    products: tuple[Product, ...]

    @property
    def fingerprint(self) -> str:
        """Depends on ids, variants and their order; prices may change beneath it."""
        names = (part for one in self.products for part in (one.id, one.variant))
        return make_id("products", *names)


class OrderSubject(Struct, frozen=True):
    """An order that was placed."""

    order: OrderSnapshot

    @property
    def fingerprint(self) -> str:
        """Depends on the order's id alone."""
        return make_id("order", self.order.order)


class Nothing(Struct, frozen=True):
    """No subject: the trigger is about the visitor."""

    @property
    def fingerprint(self) -> str:
        """The same for all."""
        return ""


Subject = CartSubject | ProductsSubject | OrderSubject | Nothing
NOTHING: Final = Nothing()
