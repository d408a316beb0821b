"""Vendors of whom only the consent is heard: RudderStack, Apache Unomi, Bloomreach.

The one rule: a choice is taken from what is said for the purpose, and never from what is stamped on
some other event.
"""

from collections.abc import Callable, Mapping
from typing import Any

from stream.mappers import consents
from stream.mappers.consents import Purposes
from stream.mappers.mapped import Fields, Hints, Mapped, Mapper, unmapped
from stream.mappers.reading import at_ms, event_id, record, text, visitor_of

Given = Mapping[str, Any]
TopicMetadata = tuple[Purposes, list[str]]


def _rudderstack(given: Given) -> TopicMetadata | None:
    if text(given.get("event")) not in {"Consent Management Updated", "Consent Preference Updated"}:
        return None
    return consents.of_rudderstack(record(record(given.get("context")).get("consentManagement")))


def _unomi(given: Given) -> TopicMetadata | None:
    if given.get("eventType") != "modifyConsent":
        return None
    return consents.of_unomi(record(record(given.get("properties")).get("consent")))


def _bloomreach(given: Given) -> TopicMetadata | None:
    if given.get("event_type") != "consent":
        return None
    return consents.of_bloomreach(record(given.get("properties")))


def _mapper(vendor: str, told_by: Callable[[Given], TopicMetadata | None]) -> Mapper:
    def to_events(given: Fields, hints: Hints) -> Mapped:
        told = told_by(given)
        if told is None:
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
        return consents.told(told[0], vendor, common, told[1], valid_until_ms=until_ms)

    return to_events


rudderstack = _mapper("rudderstack", _rudderstack)
unomi = _mapper("unomi", _unomi)
bloomreach = _mapper("bloomreach", _bloomreach)
