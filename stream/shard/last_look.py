"""The last look at what is about to be sent, by the visitors' states as they are now.

The one rule: it only ever withholds. What it lets pass leaves as it was committed.
"""

from collections.abc import Mapping

from stream.domain.consent import stands
from stream.domain.records import NEEDS, Kind
from stream.domain.visitor import Behaviour, Visitor, Who
from stream.shard.ports import Again, Entry


def lets_pass(entry: Entry, states: Mapping[Who, Visitor], now_ms: int) -> bool:
    """Say whether an entry may be sent at ``now_ms``; only triggers may not."""
    if entry.needs is None:
        return True
    kind, *who = entry.needs
    state = states.get(Who(*who))
    if state is None or not _is_consented(kind, state, now_ms):
        return False
    return entry.again is None or _still_fits(entry.again, state.behaviour, now_ms)


def _is_consented(kind: Kind, state: Visitor, now_ms: int) -> bool:
    return all(stands(state.consent, need, now_ms) for need in NEEDS[kind])


def _still_fits(again: Again, behaviour: Behaviour | None, now_ms: int) -> bool:
    """Say whether a trigger that was decided again has been overtaken by nothing since.

    The live clock may have suppressed it: who bought while a backlog drained was not reminded,
    but by the records clock the reminder came first. If it was sent, it needs no repeat.
    """
    if behaviour is None or behaviour.cart is None or now_ms > again.expires_ms:
        return False
    ordered_ms = behaviour.last_order_ms
    has_ordered = ordered_ms is not None and ordered_ms >= again.due_ms
    return behaviour.cart.fingerprint == again.fingerprint and not has_ordered
