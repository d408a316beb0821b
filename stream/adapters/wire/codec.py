"""Bytes to events and states, and back. Input is not trusted.

A refusal never repeats the refused text, because it may be personal data. A `Rejected` names the
place and the rule that it breaks, and nothing else.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, TypeVar, Union

import msgspec
import orjson

from stream.adapters.wire.state_format_1 import decode_format_1
from stream.domain.events import MAX_EVENT_BYTES, SHAPES, Context, Event
from stream.domain.policy import FUTURE_MS, LATENESS_MS
from stream.domain.records import Example
from stream.domain.topics import LANES, TOPIC_OF, TYPE_OF, event_types
from stream.domain.visitor import Visitor
from stream.shard.ports import UnreadableState


class Defect(StrEnum):
    """Why a record can never be processed: the ``reason`` of its dead letter."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    MALFORMED = "malformed"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_TYPE = "unknown_type"
    WRONG_TOPIC = "wrong_topic"
    EMAIL_AS_VISITOR = "email_as_visitor"
    INVALID = "invalid"
    BAD_KEY = "bad_key"


class Rejected(Exception):  # noqa: N818 - it tells of a record, not of an error of ours
    """A record can never be processed; ``detail`` is one line without anything from the record."""

    def __init__(self, reason: Defect, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


EventT = TypeVar("EventT", bound=Event)

AN_ADDRESS: Final = "$.visitor: holds an @, as e-mail addresses do"
USUAL_CHARACTERS: Final = 64

_shaped: Final = attrgetter(*SHAPES)

_EXAMPLES: Final = msgspec.json.Decoder(Example)
# The types of events that shards read, by name.
LANE_TYPES: Final[dict[str, type[Event]]] = {TYPE_OF[kind]: kind for kind in event_types(LANES)}
_EVENTS: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Union[*LANE_TYPES.values()])
_RECORDS: Final = msgspec.json.Encoder(order="deterministic")

# The leading byte of a stored state, and the format of all that a visitors' shard stores. A new
# format gets a new number, and the old one stays readable for one release.
STATE_FORMAT: Final = 2
_STATE_FORMAT: Final = bytes([STATE_FORMAT])
_STATE_FORMAT_BEFORE: Final = b"\x01"
_STATES: Final = msgspec.msgpack.Encoder()
_STORED: Final = msgspec.msgpack.Decoder(Visitor)


def decode(value: bytes | None, topic: str | None = None) -> Event:
    """Return the event in a record's value; with ``topic`` it must be one of that topic's.

    Raises
    ------
    Rejected
        With the first reason that applies, in the order of `Defect`.
    """
    text = _checked(value)
    try:
        event: Event | None = _EVENTS.decode(text)
    except (msgspec.DecodeError, RecursionError):
        event = None
    # Not inside the block above, or a traceback would show the decoder's error with the value.
    if event is None:
        event = _reconsider(text, topic)
    _check_topic(type(event), topic)
    if "@" in event.visitor:
        raise Rejected(Defect.EMAIL_AS_VISITOR, AN_ADDRESS)
    if event.context is not None:
        _check_shapes(event.context)
    return event


def decode_fields(fields: Any, known: Mapping[str, type[EventT]]) -> EventT:  # noqa: ANN401 - JSON
    """Return the event in a JSON value that has been read, of one of the types that are known.

    Raises
    ------
    Rejected
        With the first reason that applies, in the order of `Defect`.
    """
    kind = _kind_of(fields, known)
    visitor = fields.get("visitor")
    if isinstance(visitor, str) and "@" in visitor:
        raise Rejected(Defect.EMAIL_AS_VISITOR, AN_ADDRESS)
    try:
        event = msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise Rejected(Defect.INVALID, _place_and_rule(str(error))) from None
    if event.context is not None:
        _check_shapes(event.context)
    return event


def check_key(key: bytes | None, event: Event) -> None:
    """Raise `Rejected` unless a record's key is its event's visitor in UTF-8."""
    if key is None:
        raise Rejected(Defect.BAD_KEY, "key: missing")
    if key != event.visitor.encode():
        raise Rejected(Defect.BAD_KEY, "key: not the visitor of the event")


def clamp(at_ms: int, record_ms: int) -> int:
    """Return an event's time, held within what its record's timestamp makes believable.

    Examples
    --------
    >>> clamp(5, record_ms=10)
    5
    >>> clamp(70_000, record_ms=0)
    60000
    """
    if record_ms - LATENESS_MS <= at_ms <= record_ms + FUTURE_MS:  # as nearly all do
        return at_ms
    return min(max(at_ms, record_ms - LATENESS_MS), record_ms + FUTURE_MS)


def encode_record(record: msgspec.Struct) -> bytes:
    """Return a record's JSON: the same bytes for the same record in every process."""
    return _RECORDS.encode(record)


def decode_example(value: bytes | None) -> Example:
    """Return the labelled prediction in a record that Cartwake itself has written.

    Raises
    ------
    Rejected
        If the record comes from elsewhere.
    """
    try:
        return _EXAMPLES.decode(value or b"")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Rejected(Defect.INVALID, "$: not a training example") from None


def encode_state(visitor: Visitor) -> bytes:
    """Return a visitor's state as it is stored."""
    return _STATE_FORMAT + _STATES.encode(visitor)


def decode_state(data: bytes) -> Visitor:
    """Return the visitor's state that `encode_state` made.

    Raises
    ------
    UnreadableState
        If the data are cut, damaged, or of a format that this version does not know.
    """
    state_format = data[:1]
    if state_format not in {_STATE_FORMAT, _STATE_FORMAT_BEFORE}:
        read = f"{_STATE_FORMAT_BEFORE[0]} and {_STATE_FORMAT[0]}"
        found = data[0] if data else "none"
        raise UnreadableState(f"the state has format {found}, this version reads {read}")
    try:
        if state_format == _STATE_FORMAT:
            return _STORED.decode(memoryview(data)[1:])
        return decode_format_1(memoryview(data)[1:])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise UnreadableState("the state is damaged") from None


def _checked(value: bytes | None) -> bytes:
    if not value:
        raise Rejected(Defect.EMPTY, "value: no bytes")
    if len(value) > MAX_EVENT_BYTES:
        raise Rejected(Defect.TOO_LARGE, f"value: more than {MAX_EVENT_BYTES} bytes")
    # The decoder believes the strings of fields that it ignores; the contract does not.
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            detail = f"value: not UTF-8 at byte {error.start}"
            raise Rejected(Defect.NOT_UTF8, detail) from None
    return value


def _reconsider(value: bytes, topic: str | None) -> Event:
    """Find out why the fast decoder refused, and whether it was right.

    It holds every occurrence of a repeated key against the rules, where only the last one
    counts; and how deep it may go depends on the depth of the caller's stack.
    """
    try:
        fields = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        detail = f"value: not one JSON value, at line {error.lineno} column {error.colno}"
        raise Rejected(Defect.MALFORMED, detail) from None
    _check_topic(_kind_of(fields, LANE_TYPES), topic)
    return decode_fields(fields, LANE_TYPES)


def _kind_of(fields: Any, known: Mapping[str, type[EventT]]) -> type[EventT]:  # noqa: ANN401 - JSON
    if not isinstance(fields, dict):
        raise Rejected(Defect.NOT_AN_OBJECT, "$: expected an object")
    name = fields.get("type")
    if not isinstance(name, str):
        raise Rejected(Defect.INVALID, "$.type: expected a string")
    if name not in known:
        raise Rejected(Defect.UNKNOWN_TYPE, "$.type: not a type that this version knows")
    return known[name]


def _check_topic(kind: type[Event], topic: str | None) -> None:
    if topic is not None and TOPIC_OF[kind] != topic:
        raise Rejected(Defect.WRONG_TOPIC, f"$.type: belongs to the topic {TOPIC_OF[kind]}")


def _check_shapes(context: Context) -> None:
    texts = _shaped(context)
    # There are few countries, languages and zones; strangers may send whatever they like.
    is_usual = sum([len(text) for text in texts if text]) <= USUAL_CHARACTERS
    broken = _usually_broken(*texts) if is_usual else _broken(*texts)
    if broken is not None:
        rule = f"Expected `str` matching {SHAPES[broken]!r}"
        raise Rejected(Defect.INVALID, f"$.context.{broken}: {rule}")


def _broken(*texts: str | None) -> str | None:
    """Return the first field whose text has not its shape; None: all have."""
    for (name, shape), text in zip(SHAPES.items(), texts, strict=True):
        if text is not None and re.search(shape, text) is None:
            return name
    return None


_usually_broken: Final = lru_cache(maxsize=4_096)(_broken)


def _place_and_rule(message: str) -> str:
    rule, _, place = message.rpartition(" - at ")
    # Where a value must be one of a few, msgspec repeats the value: that never leaves here.
    if not message.startswith(("Expected", "Object missing")):
        rule = "not one of the allowed values"
    return f"{place.strip('`') if rule else '$'}: {rule or message}"
