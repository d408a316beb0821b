"""Collects the names of fields whose value is there and cannot be read, and of no content.

A missing value is no loss. Mappers stay pure as seen from outside: ``to_events`` collects the names
and returns them with the events.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_lost: ContextVar[list[str] | None] = ContextVar("lost", default=None)


@contextmanager
def collected() -> Iterator[list[str]]:
    """Yield the list to which ``lose`` adds names until the block ends."""
    names: list[str] = []
    token = _lost.set(names)
    try:
        yield names
    finally:
        _lost.reset(token)


def lose(field: str, value: object) -> None:
    """Note that a field's value cannot be read; a missing value is no loss."""
    names = _lost.get()
    if names is not None and not is_missing(value):
        names.append(field)


def is_missing(value: object) -> bool:
    """Say whether a field is absent, null or blank: vendors write all three for no value."""
    return value is None or (isinstance(value, str) and not value.strip())
