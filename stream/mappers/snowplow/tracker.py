"""Snowplow's tracker protocol, as browsers and servers send it to a collector, before enrichment.

https://docs.snowplow.io/docs/events/going-deeper/event-parameters/
"""

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from stream.mappers.reading import record, records, whole, without_none

KINDS: Final = {"pv": "page_view", "pp": "page_ping", "ue": "unstruct", "se": "struct"}
NAMES: Final = {
    "event_id": "eid",
    "domain_userid": "duid",
    "page_url": "url",
    "page_title": "page",
    "page_referrer": "refr",
    "useragent": "ua",
}
SCHEMA: Final = re.compile(
    r"iglu:([A-Za-z0-9_.-]+)/([A-Za-z0-9_-]+)/jsonschema/([0-9]+)-[0-9]+-[0-9]+"
)


def enriched(payload: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the payload with an enriched event's names; what is no object is returned as it is."""
    if not isinstance(payload, dict):
        return payload
    event: dict[str, Any] = {name: payload.get(short) for name, short in NAMES.items()}
    kind = str(payload.get("e"))
    event |= {"event": KINDS.get(kind, kind), "dvce_created_tstamp": sent_at(payload, "dtm")}
    own = record(_json_in(payload, "ue_pr", "ue_px").get("data"))
    event |= {f"unstruct_event_{name}": one for name, one in _named([own])}
    for name, one in _named(records(_json_in(payload, "co", "cx").get("data"))):
        event.setdefault(f"contexts_{name}", []).append(one)
    return without_none(event)


def sent_at(payload: object, field: str = "stm") -> int | None:
    """Return a time of the device, ms UTC: ``stm`` is when it sent, ``dtm`` when it happened."""
    return whole(record(payload).get(field))


def app_id(payload: object) -> str:
    """Return the application's id, where a key may stand; empty without one."""
    named = record(payload).get("aid")
    return named if isinstance(named, str) else ""


def _named(parts: list[Any]) -> list[tuple[str, Any]]:
    """Return self-describing objects by the name that enriched events give to their schema."""
    found = (
        (SCHEMA.fullmatch(str(record(one).get("schema"))), record(one).get("data")) for one in parts
    )
    return [(_column(match), data) for match, data in found if match]


def _column(schema: re.Match[str]) -> str:
    vendor, name, model = schema.groups()
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", f"{vendor}_{name}")
    return f"{re.sub('[.-]', '_', words).lower()}_{model}"


def _json_in(payload: Mapping[str, Any], plain: str, packed: str) -> Mapping[str, Any]:
    """Return the object in a field, which is JSON or, under its other name, JSON in base64."""
    text = payload.get(plain)
    try:
        if not isinstance(text, str):
            coded = str(payload.get(packed, ""))
            text = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
        return record(orjson.loads(text))
    except ValueError:
        return {}
