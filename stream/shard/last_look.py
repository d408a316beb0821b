"""The check of what is about to be sent against the states as they are now.

It only ever withholds. What it lets pass is sent as it was committed.
"""

from collections.abc import Mapping

from stream.shard.entity import Entity
from stream.shard.ports import Entry, KeyT, StateT


def lets_pass(
    entity: Entity[KeyT, StateT], entry: Entry, states: Mapping[KeyT, StateT], now_ms: int
) -> bool:
    """Say whether an entry may be sent at ``now_ms``; only entries with needs may not."""
    if entry.needs is None:
        return True
    state = states.get(entity.key_to_check(entry.needs))
    return state is not None and entity.may_send(entry.needs, state, now_ms)
