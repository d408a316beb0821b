"""The purchase that each client of a shop's server sends, with one refusal in it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

SHARED = Counter(
    consent_updated=1,
    product_viewed=1,
    product_added=1,
    page_viewed=1,
    checkout_started=1,
    order_completed=1,
    order_refunded=1,
)
# Segment's names: a view of the cart, and the lines of the checkout, are pictures of the cart.
JOURNEY = SHARED + Counter(cart_updated=2)
# Snowplow's: a checkout begins with its first step.
STEPS = SHARED + Counter(checkout_step_completed=1)


def made(events: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Return how many events of each type there are."""
    return Counter(str(event["type"]) for event in events)
