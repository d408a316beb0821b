"""Vendors' events in our own words: pure functions, one folder a vendor.

The one rule: nothing here connects, keeps or asks for the time. A vendor's event without a
counterpart is named, so that it can be counted; it is not an error.
"""

from collections.abc import Mapping
from typing import Any, Final

from stream.mappers import banners, cloudevents, ga4, segment, shopify, snowplow
from stream.mappers.mapped import Hints, Mapped, Mapper, Unreadable

VENDORS: Final[Mapping[str, Mapper]] = {
    "segment": segment.to_events,
    "snowplow": snowplow.to_events,
    "shopify": shopify.to_events,
    "ga4": ga4.to_events,
    "cloudevents": cloudevents.to_events,
    "rudderstack": banners.rudderstack,
    "unomi": banners.unomi,
    "bloomreach": banners.bloomreach,
}


def to_events(vendor: str, given: Any, hints: Hints) -> Mapped:  # noqa: ANN401 - JSON
    """Return what a vendor's object means.

    Raises
    ------
    Unreadable
        It is none, or lacks what its event cannot be without.
    """
    if not isinstance(given, dict):
        raise Unreadable("$: expected an object")
    return VENDORS[vendor](given, hints)


__all__ = ["VENDORS", "Hints", "Mapped", "Unreadable", "to_events"]
