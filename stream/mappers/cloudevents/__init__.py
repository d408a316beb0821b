"""CloudEvents 1.0 in structured and binary mode, with canonical fields as their data.

The specification identifies an event by its source and its id together.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from stream.domain.ids import make_id
from stream.domain.topics import TYPE_OF, event_types, written_by
from stream.mappers.mapped import Fields, Hints, Mapped, Unreadable, unmapped
from stream.mappers.reading import at_ms, record, required, text, visitor_of

KNOWN: Final = frozenset(TYPE_OF[kind] for kind in event_types(written_by("storefront")))
MEDIA_TYPE: Final = "application/cloudevents"
PREFIX: Final = "ce-"
VERSION: Final = f"{PREFIX}specversion"


def is_structured(headers: Mapping[str, str]) -> bool:
    """Say whether a request's body is an envelope, or a batch of them."""
    return headers.get("content-type", "").lower().startswith(MEDIA_TYPE)


def is_binary(headers: Mapping[str, str]) -> bool:
    """Say whether a request's headers are the envelope, and its body the data."""
    return VERSION in headers and not is_structured(headers)


def of_binary(headers: Mapping[str, str], data: Any) -> Fields:  # noqa: ANN401 - JSON
    """Return the envelope of a request in binary mode.

    Examples
    --------
    >>> of_binary({"ce-type": "a", "ce-subject": "%C3%A4", "host": "x"}, None)
    {'type': 'a', 'subject': 'ä', 'data': None}
    """
    attributes = {name: value for name, value in headers.items() if name.startswith(PREFIX)}
    return {
        **{name.removeprefix(PREFIX): _plain(value) for name, value in attributes.items()},
        "data": data,
    }


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
    data = _data(event)
    source, own = required("$.source", event.get("source")), required("$.id", event.get("id"))
    given = text(data.get("visitor"), event.get("subject"))
    common = {
        "type": name,
        "id": make_id("cloudevents", source, own),
        "visitor": visitor_of("$.subject", hints, given),
        "at_ms": at_ms(data.get("at_ms"), event.get("time"), hints.at_ms),
    }
    return Mapped(({**data, **common},))


def _data(event: Fields) -> Mapping[str, Any]:
    packed = event.get("data_base64")
    if packed is None:
        return record(event.get("data"))
    try:
        return record(json.loads(b64decode(packed, validate=True)))
    except (TypeError, ValueError, RecursionError):
        raise Unreadable("$.data_base64: expected base64 of a JSON object") from None


def _plain(value: str) -> str:
    """Return a header's value, which may be in quotes and percent-encoded."""
    is_quoted = value.startswith('"') and value.endswith('"') and value != '"'
    return unquote(re.sub(r"\\(.)", r"\1", value[1:-1]) if is_quoted else value)
