"""Leaves out the optional fields of an event that are not what they should be, and no others.

It reads the types of ``stream.domain.events``, so a new field needs nothing here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo, fields

from stream.domain.events import SHAPES, ConsentUpdated, Event, Purposes

# To leave these out would change what the event says: which line, how many.
MEANINGFUL: Final = frozenset({"variant", "quantity"})

Fields = dict[str, Any]


def readable(given: Mapping[str, Any], kind: type[Event]) -> tuple[Fields, tuple[str, ...]]:
    """Return the fields that can be read, and the places of those that are left out.

    A status of consent that is none is a no. Without a readable end a grant might last for ever:
    then the refusals alone remain.
    """
    lost: dict[str, None] = {}
    kept = _read(given, kind, "", lost)
    if kind is ConsentUpdated and "valid_until_ms" in lost and isinstance(kept["purposes"], dict):
        refused = {name: said for name, said in kept["purposes"].items() if said != "granted"}
        kept["purposes"] = refused or None
    return kept, tuple(lost)


def _read(given: Mapping[str, Any], kind: Any, place: str, lost: dict[str, None]) -> Fields:  # noqa: ANN401
    kept = dict(given)
    for field in fields(kind):
        name = field.encode_name
        if name not in given:
            continue
        here = f"{place}{name}"
        value = _part(given[name], field, here, lost)
        if _fits(value, field.type, name):
            kept[name] = value
            continue
        if kind is Purposes:
            kept[name] = "denied"
        elif not field.required and name not in MEANINGFUL:
            del kept[name]
        else:
            continue
        lost[here] = None
    return kept


def _part(value: object, field: FieldInfo, here: str, lost: dict[str, None]) -> object:
    """Return a value without what cannot be read inside it."""
    nested = _first(
        field.type, lambda one: isinstance(one, type) and issubclass(one, msgspec.Struct)
    )
    if isinstance(value, dict) and nested is not None:
        return _read(value, nested, f"{here}.", lost)
    listed = _first(field.type, _is_list)
    if not isinstance(value, list) or listed is None:
        return value
    (item,) = get_args(listed)
    read = [
        _read(one, nested, f"{here}.", lost)
        if nested is not None and isinstance(one, dict)
        else one
        for one in value
    ]
    if field.required:  # a whole cart without one of its lines is another cart
        return read
    kept = [one for one in read if _fits(one, item, "")]
    if len(kept) < len(read):
        lost[here] = None
    return kept


def _fits(value: object, kind: Any, name: str) -> bool:  # noqa: ANN401 - a type, or an annotation
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    shape = SHAPES.get(name)
    return shape is None or not isinstance(value, str) or re.search(shape, value) is not None


def _first(annotation: Any, is_wanted: Any) -> Any:  # noqa: ANN401
    return next(filter(is_wanted, _parts(annotation)), None)


def _is_list(annotation: Any) -> bool:  # noqa: ANN401
    origin: Any = get_origin(annotation)
    return origin is list


def _parts(annotation: Any) -> Iterator[Any]:  # noqa: ANN401
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)
