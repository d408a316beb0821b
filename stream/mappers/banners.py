"""Vendors that only send consent: Apache Unomi, Bloomreach.

Only an event that is about consent is a choice, never the consent that is added to another event.
"""

from collections.abc import Callable, Mapping
from typing import Any

from stream.mappers import consents
from stream.mappers.consents import Choices, OwnCategories
from stream.mappers.mapped import Fields, Hints, Mapped, Mapper, unmapped
from stream.mappers.reading import at_ms, event_id, number, record, text, visitor_of

Given = Mapping[str, Any]
# Bloomreach's word for a consent without an end.
UNLIMITED = "unlimited"
# Bloomreach's times are UNIX timestamps, and Unomi's milliseconds: 1973 by one, 5138 by the other.
# https://documentation.bloomreach.com/engagement/docs/tracking-consent
SECONDS_BELOW = 10**11


def _unomi(given: Given, own: OwnCategories) -> Choices | None:
    if given.get("eventType") != "modifyConsent":
        return None
    return consents.of_unomi(record(record(given.get("properties")).get("consent")), own)


def _bloomreach(given: Given, own: OwnCategories) -> Choices | None:
    if given.get("event_type") != "consent":
        return None
    return consents.of_bloomreach(record(given.get("properties")), own)


def _mapper(vendor: str, choices_in: Callable[[Given, OwnCategories], Choices | None]) -> Mapper:
    def to_events(given: Fields, hints: Hints) -> Mapped:
        choices = choices_in(given, hints.categories)
        if choices is None:
            named = text(given.get("eventType"), given.get("event_type"))
            return unmapped(named or "no consent")
        ids = record(given.get("customer_ids"))
        moments = (_of_seconds(given.get(one)) for one in ("timeStamp", "timestamp"))
        common = {
            "id": event_id(vendor, text(given.get("itemId")), given, hints),
            "visitor": visitor_of("$", hints, given.get("profileId"), ids.get("cookie")),
            "at_ms": at_ms(*moments, hints.at_ms),
        }
        until = record(given.get("properties")).get("valid_until")
        until_ms = None if until == UNLIMITED else at_ms(_of_seconds(until))
        # A grant whose end cannot be read would last for ever.
        if until_ms is None and until not in (None, UNLIMITED):
            purposes = {p: said for p, said in choices.purposes.items() if said != "granted"}
            choices = choices._replace(purposes=purposes)
        return consents.updated(choices, vendor, common, valid_until_ms=until_ms)

    return to_events


def _of_seconds(moment: object) -> object:
    """Return a moment in milliseconds if it is a number of seconds, else as it is."""
    found = number(moment)
    return moment if found is None else int(found * 1000 if found < SECONDS_BELOW else found)


unomi = _mapper("unomi", _unomi)
bloomreach = _mapper("bloomreach", _bloomreach)
