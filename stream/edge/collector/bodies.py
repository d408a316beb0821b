"""From a request's body to its events: arrays, JSON Lines, envelopes, and what they weigh.

A line or an event that cannot be taken becomes a refusal in its place, so that its neighbours are
taken all the same.
"""

from codecs import BOM_UTF8
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import Request

from stream.edge.answers import RequestRefused, malformed, too_large
from stream.edge.limits import too_many
from stream.edge.requests import MAX_EVENT_BYTES, json_of
from stream.mappers import cloudevents


def listed(body: bytes, most: int) -> list[Any]:
    """Return the events of an array or of JSON Lines; a broken line becomes a refusal."""
    if not body.strip():
        raise malformed("body: empty")
    if body.removeprefix(BOM_UTF8).lstrip().startswith(b"["):
        events: list[Any] = json_of(body)
        return events
    lines = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    if len(lines) > most:
        raise too_many(most)
    return [_line(number, line) for number, line in lines]


def enveloped(request: Request, body: bytes) -> list[Any]:
    """Return a body's events: one, an array of them, or a CloudEvent with its head in headers."""
    if cloudevents.is_binary(request.headers):
        data = json_of(body) if body else None
        return [cloudevents.of_binary(request.headers, data)]
    value = json_of(body)
    return value if isinstance(value, list) else [value]


def _line(number: int, line: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return json_of(line, f"line {number}")
    except RequestRefused as refusal:
        return refusal


def bounded(events: Sequence[object], body_bytes: int) -> Sequence[object]:
    """Return the events; each that is too large is replaced by a refusal."""
    if body_bytes <= MAX_EVENT_BYTES:
        return events
    return [
        event if isinstance(event, RequestRefused) else bounded_event(event) for event in events
    ]


def bounded_event(event: object) -> object:
    """Return an event, or its refusal if it is too large."""
    try:
        size = size_of(event)
    except orjson.JSONEncodeError:  # it writes fewer levels than it reads
        return malformed("$: nested too deeply")
    return too_large("event", MAX_EVENT_BYTES) if size > MAX_EVENT_BYTES else event


def size_of(value: object) -> int:
    """Return the bytes of a value as JSON."""
    return len(orjson.dumps(value))


def in_context(call: object, shared: object) -> object:
    """Return a call of a batch with the context that all calls of the batch share."""
    if isinstance(call, dict) and isinstance(shared, dict):
        own = call.get("context")
        return call | {"context": shared | own if isinstance(own, dict) else shared}
    return call
