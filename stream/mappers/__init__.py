"""Converts vendors' events into canonical events: pure functions, one folder for each vendor.

Nothing here connects, keeps state or reads a clock. A vendor's event without a counterpart is no
error: its name is returned, so that it can be counted.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from stream.mappers import (
    banners,
    cloudevents,
    ga4,
    losses,
    segment,
    shopify,
    snowplow,
    woocommerce,
)
from stream.mappers.mapped import Fields, Hints, Mapped, Mapper, NotCarriedOut, Unreadable

VENDORS: Final[Mapping[str, Mapper]] = {
    "segment": segment.to_events,
    "snowplow": snowplow.to_events,
    "shopify": shopify.to_events,
    "woocommerce": woocommerce.to_events,
    "ga4": ga4.to_events,
    "cloudevents": cloudevents.to_events,
    "rudderstack": segment.rudderstack,
    "unomi": banners.unomi,
    "bloomreach": banners.bloomreach,
}

# Vendors whose webhooks have names instead of a visitor: the names in one, the best first.
SEARCHED_NAMES: Final[Mapping[str, Callable[[Fields, Hints], tuple[str, ...]]]] = {
    "shopify": shopify.searched_names,
}

NAME_CHARACTERS: Final = 64


def to_events(vendor: str, given: Any, hints: Hints) -> Mapped:  # noqa: ANN401 - JSON
    """Return the canonical events of a vendor's object, and the fields that could not be read.

    Raises
    ------
    Unreadable
        It is not an object, or a required field is missing.
    NotCarriedOut
        It asks for something that nothing here does.
    """
    if not isinstance(given, dict):
        raise Unreadable("$: expected an object")
    with losses.collected() as lost:
        mapped = VENDORS[vendor](given, hints)
    # Anybody may have sent the names.
    return mapped._replace(
        unmapped=_cut(mapped.unmapped), lost=tuple(lost), unheard=_cut(mapped.unheard)
    )


def _cut(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name[:NAME_CHARACTERS] for name in names)


__all__ = [
    "SEARCHED_NAMES",
    "VENDORS",
    "Hints",
    "Mapped",
    "NotCarriedOut",
    "Unreadable",
    "to_events",
]
