"""CloudEvents 1.0 in structured mode, with canonical fields as their data.

The specification identifies an event by its source and its id together.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

import re
from typing import Final

from stream.domain.ids import make_id
from stream.domain.topics import TYPE_OF, event_types, written_by
from stream.mappers.mapped import Fields, Hints, Mapped, Unreadable, unmapped
from stream.mappers.reading import at_ms, record, required, text, visitor_of

KNOWN: Final = frozenset(TYPE_OF[kind] for kind in event_types(written_by("storefront")))


def to_events(event: Fields, hints: Hints) -> Mapped:
    """Return the canonical event in a CloudEvent; ``subject`` and ``time`` stand in for its fields.

    Raises
    ------
    Unreadable
        It is not a CloudEvent 1.0, or has no visitor.
    """
    if event.get("specversion") != "1.0":
        raise Unreadable("$.specversion: expected 1.0")
    kind = required("$.type", event.get("type"))
    name = re.sub(r"^cartwake\.|\.v\d+$", "", kind)
    if name not in KNOWN:
        return unmapped(kind)
    data = record(event.get("data"))
    source, own = required("$.source", event.get("source")), required("$.id", event.get("id"))
    given = text(data.get("visitor"), event.get("subject"))
    common = {
        "type": name,
        "id": make_id("cloudevents", source, own),
        "visitor": visitor_of("$.subject", hints, given),
        "at_ms": at_ms(data.get("at_ms"), event.get("time"), hints.at_ms),
    }
    return Mapped(({**data, **common},))
