"""Decodes the states that a store returns, with or without those that cannot be read."""

import contextlib
from collections.abc import Iterable

from stream.shard.entity import Codec
from stream.shard.ports import KeyT, StateT, UnreadableState

Stored = Iterable[tuple[KeyT, bytes | None]]


def decode_all(codec: Codec[KeyT, StateT], stored: Stored[KeyT]) -> dict[KeyT, StateT]:
    """Return the state of each key that has one.

    Raises
    ------
    UnreadableState
        Some cannot be read; it names their keys.
    """
    decode, pairs = codec.decode, list(stored)
    try:
        return {key: decode(data) for key, data in pairs if data is not None}
    except UnreadableState as error:
        good = decode_readable(codec, pairs)
        bad = [key for key, data in pairs if data is not None and key not in good]
        raise UnreadableState(str(error), bad) from error


def decode_readable(codec: Codec[KeyT, StateT], stored: Stored[KeyT]) -> dict[KeyT, StateT]:
    """Return the state of each key that has one that can be read."""
    states: dict[KeyT, StateT] = {}
    for key, data in stored:
        if data is not None:
            with contextlib.suppress(UnreadableState):
                states[key] = codec.decode(data)
    return states
