"""Vendors that only send consent: RudderStack, Apache Unomi, Bloomreach.

Only an event that is about consent is a choice, never the consent that is added to another event.
"""

from collections.abc import Callable, Mapping
from typing import Any

from stream.mappers import consents
from stream.mappers.consents import Purposes
from stream.mappers.mapped import Fields, Hints, Mapped, Mapper, unmapped
from stream.mappers.reading import at_ms, event_id, record, text, visitor_of

Given = Mapping[str, Any]
Choices = tuple[Purposes, list[str]]


def _rudderstack(given: Given) -> Choices | None:
    if text(given.get("event")) not in {"Consent Management Updated", "Consent Preference Updated"}:
        return None
    return consents.of_rudderstack(record(record(given.get("context")).get("consentManagement")))


def _unomi(given: Given) -> Choices | None:
    if given.get("eventType") != "modifyConsent":
        return None
    return consents.of_unomi(record(record(given.get("properties")).get("consent")))


def _bloomreach(given: Given) -> Choices | None:
    if given.get("event_type") != "consent":
        return None
    return consents.of_bloomreach(record(given.get("properties")))


def _mapper(vendor: str, choices_in: Callable[[Given], Choices | None]) -> Mapper:
    def to_events(given: Fields, hints: Hints) -> Mapped:
        choices = choices_in(given)
        if choices is None:
            return unmapped(text(given.get("event"), given.get("eventType")) or "no consent")
        ids = record(given.get("customer_ids"))
        moments = (given.get(one) for one in ("originalTimestamp", "timeStamp", "timestamp"))
        named = (given.get("anonymousId"), given.get("profileId"), ids.get("cookie"))
        common = {
            "id": event_id(vendor, text(given.get("messageId"), given.get("itemId")), given, hints),
            "visitor": visitor_of("$", hints, *named),
            "at_ms": at_ms(*moments, hints.at_ms),
        }
        until_ms = at_ms(record(given.get("properties")).get("valid_until"))
        return consents.updated(choices[0], vendor, common, choices[1], valid_until_ms=until_ms)

    return to_events


rudderstack = _mapper("rudderstack", _rudderstack)
unomi = _mapper("unomi", _unomi)
bloomreach = _mapper("bloomreach", _bloomreach)
