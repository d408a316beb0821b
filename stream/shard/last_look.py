"""The last look at what is about to be sent, by the visitors' states as they are now.

The one rule: it only ever withholds. What it lets pass leaves as it was committed.
"""

from collections.abc import Mapping

from stream.domain.consent import stands
from stream.domain.kinds import REGISTRY
from stream.domain.visitor import Visitor, VisitorKey
from stream.shard.ports import Entry


def lets_pass(entry: Entry, states: Mapping[VisitorKey, Visitor], now_ms: int) -> bool:
    """Say whether an entry may be sent at ``now_ms``; only triggers may not."""
    if entry.needs is None:
        return True
    kind, *who = entry.needs
    state = states.get(VisitorKey(*who))
    return state is not None and all(
        stands(state.consent, purpose, now_ms) for purpose in REGISTRY.needs(kind)
    )
