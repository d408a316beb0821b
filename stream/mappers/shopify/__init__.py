"""Shopify: its web pixel's standard events, and the webhooks of its admin.

Pixel and webhook name an order by Shopify's number, so that both together are one order. Webhooks
know no visitor: it is found by the names that pixel and webhooks share (``names``), or its signed
id stands in the attribute ``cartwake_visitor``, which a theme can set.
https://shopify.dev/docs/api/web-pixels-api/standard-events
https://shopify.dev/docs/api/webhooks
"""

from typing import Final

from stream.mappers.mapped import Fields, Hints, Mapped
from stream.mappers.shopify import names, pixel, webhook

TOPIC: Final = "x-shopify-topic"


def to_events(given: Fields, hints: Hints) -> Mapped:
    """Return the canonical events of a pixel's event, or of a webhook (topic in the headers).

    Raises
    ------
    Unreadable
        A required field is missing.
    NotCarriedOut
        It is a request of a customer or a shop that a person has to carry out.
    """
    topic = hints.headers.get(TOPIC)
    if topic is None:
        return pixel.to_events(given, hints)
    return webhook.to_events(topic, given, hints)


def searched_names(given: Fields, hints: Hints) -> tuple[str, ...]:
    """Return the names by which the visitor of a webhook may be found, the best first."""
    return names.searched_by(hints.headers.get(TOPIC), given)
