"""Events of shops and visitors: one type per row of the contract, with every bound.

An event that the codec accepts is valid; no later code checks its fields again. Unknown fields are
ignored, because a newer producer must not break an older worker.
"""

import re
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

MAX_SAFE_INTEGER = 2**53
MAX_EVENT_BYTES = 65_536
MAX_LINES = 500
MAX_QUANTITY = 10_000

Int = Annotated[int, Meta(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
Minor = Annotated[int, Meta(ge=0, le=MAX_SAFE_INTEGER, description="money in minor units")]
Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
EventId = Annotated[str, Meta(min_length=1, max_length=64)]
Tenant = Annotated[str, Meta(min_length=1, max_length=64)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3, description="ISO 4217")]

# Patterns of what every event may carry. Checked by the decoder they took two thirds of its time,
# so it only tells them to the schemas, and the codec checks them after it.
NO_EMAIL = "^[^@]*$"
SHAPES = {
    "country": "^[A-Z]{2}$",
    "locale": r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$(?!\n)",
    "timezone": r"^[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*$(?!\n)",
}


def _shape(pattern: str) -> dict[str, str]:
    return {"pattern": pattern}


VisitorId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="never an e-mail address",
        extra_json_schema=_shape(NO_EMAIL),
    ),
]
Country = Annotated[
    str,
    Meta(
        max_length=2,
        description="ISO 3166-1 alpha-2",
        extra_json_schema=_shape(SHAPES["country"]),
    ),
]
Locale = Annotated[str, Meta(description="BCP 47", extra_json_schema=_shape(SHAPES["locale"]))]
Timezone = Annotated[str, Meta(description="IANA", extra_json_schema=_shape(SHAPES["timezone"]))]
Status = Literal["granted", "denied", "withdrawn"]
Signal = Literal["pointer_left_top", "tab_hidden", "back_navigation", "fast_scroll_up", "idle"]


class Context(Struct, frozen=True, gc=False, omit_defaults=True):
    """Where an event came from; never an IP address."""

    user_agent: str | None = None
    locale: Locale | None = None
    timezone: Timezone | None = None
    country: Country | None = None
    device: Literal["desktop", "mobile", "tablet"] | None = None
    bot: bool = False


class Product(Struct, frozen=True, gc=False, omit_defaults=True):
    """A product as the storefront shows it; ``id`` and ``variant`` identify a cart line."""

    id: str
    variant: str | None = None
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    price_minor: Minor | None = None
    currency: Currency | None = None
    url: str | None = None
    image_url: str | None = None
    tags: list[str] | None = None


class Line(Struct, frozen=True, gc=False):
    """So many of one product."""

    product: Product
    quantity: Quantity


Lines = Annotated[list[Line], Meta(max_length=MAX_LINES)]


def _type_of(class_name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()


class Event(
    Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type", tag=_type_of
):
    """What every event carries. Times are milliseconds UTC."""

    id: EventId
    tenant: Tenant = "default"
    visitor: VisitorId
    at_ms: Int
    received_at_ms: Int | None = None
    context: Context | None = None


class PageViewed(Event, frozen=True, gc=False, kw_only=True):
    """A page was shown."""

    url: str
    title: str | None = None
    referrer: str | None = None
    tags: list[str] | None = None


class ProductViewed(Event, frozen=True, gc=False, kw_only=True):
    """A product's own page was shown."""

    product: Product


class ProductListViewed(Event, frozen=True, gc=False, kw_only=True):
    """A list of products was shown."""

    # Declared first: in this class body ``list`` names the field once it is defined.
    products: list[Product] | None = None
    list: str | None = None


class ProductsSearched(Event, frozen=True, gc=False, kw_only=True):
    """The shopper searched."""

    query: str


class PageLeft(Event, frozen=True, gc=False, kw_only=True):
    """A page was left after ``dwell_ms``; ends a visit, does not continue it."""

    url: str
    dwell_ms: Int
    scroll_pct: float | None = None


class ExitSignalled(Event, frozen=True, gc=False, kw_only=True):
    """The shopper seems about to leave; ends a visit, does not continue it."""

    signal: Signal
    dwell_ms: Int
    url: str | None = None


class ProductAdded(Event, frozen=True, gc=False, kw_only=True):
    """So many of a product went into the cart."""

    product: Product
    quantity: Quantity
    cart: str | None = None


class ProductRemoved(Event, frozen=True, gc=False, kw_only=True):
    """So many of a product left the cart; without ``quantity`` the whole line."""

    product_id: str
    variant: str | None = None
    quantity: Quantity | None = None
    cart: str | None = None


class CartUpdated(Event, frozen=True, gc=False, kw_only=True):
    """The whole cart as it is now; an empty list empties it."""

    lines: Lines
    cart: str | None = None


class CheckoutStarted(Event, frozen=True, gc=False, kw_only=True):
    """Checkout began."""

    order: str | None = None
    cart: str | None = None


class CheckoutStepCompleted(Event, frozen=True, gc=False, kw_only=True):
    """One step of the checkout is done."""

    step: Int
    name: str | None = None
    shipping_minor: Minor | None = None


class PaymentFailed(Event, frozen=True, gc=False, kw_only=True):
    """The payment was refused."""

    code: str | None = None
    reason: str | None = None


class OrderCompleted(Event, frozen=True, gc=False, kw_only=True):
    """The shopper bought."""

    order: str
    total_minor: Minor
    currency: Currency
    lines: Lines | None = None
    cart: str | None = None


class OrderRefunded(Event, frozen=True, gc=False, kw_only=True):
    """An order was paid back."""

    order: str
    total_minor: Minor


class Purposes(Struct, frozen=True, gc=False, omit_defaults=True):
    """A choice per purpose; a purpose that is not named keeps its choice."""

    analytics: Status | None = None
    personalization: Status | None = None
    marketing_email: Status | None = None
    marketing_sms: Status | None = None
    ads: Status | None = None
    sale_share: Status | None = None


class ConsentUpdated(Event, frozen=True, gc=False, kw_only=True):
    """The shopper chose, for some purposes, until ``valid_until_ms`` where it is given."""

    purposes: Purposes
    valid_until_ms: Int | None = None
    source: str | None = None
    policy: str | None = None


class ErasureRequested(Event, frozen=True, gc=False, kw_only=True):
    """The shopper wants to be forgotten."""


PageEvent = (
    PageViewed | ProductViewed | ProductListViewed | ProductsSearched | PageLeft | ExitSignalled
)
CartEvent = (
    ProductAdded
    | ProductRemoved
    | CartUpdated
    | CheckoutStarted
    | CheckoutStepCompleted
    | PaymentFailed
    | OrderCompleted
    | OrderRefunded
)
ConsentEvent = ConsentUpdated | ErasureRequested
BehaviourEvent = PageEvent | CartEvent
AnyEvent = ConsentEvent | CartEvent | PageEvent

CONSENT_EVENT_TYPES: Final[tuple[type[Event], ...]] = (ConsentUpdated, ErasureRequested)
CART_EVENT_TYPES: Final[tuple[type[Event], ...]] = (
    ProductAdded,
    ProductRemoved,
    CartUpdated,
    CheckoutStarted,
    CheckoutStepCompleted,
    PaymentFailed,
    OrderCompleted,
    OrderRefunded,
)
PAGE_EVENT_TYPES: Final[tuple[type[Event], ...]] = (
    PageViewed,
    ProductViewed,
    ProductListViewed,
    ProductsSearched,
    PageLeft,
    ExitSignalled,
)
