"""What the live clock may leave out of the reference's triggers, and what it may not.

The one rule: with a backlog restraint wins over completeness. A trigger may be missing if its
visitor did something, or it expired, before the shard had caught up; never is there one too many.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

Trigger = dict[str, Any]


def too_many(expected: Iterable[Trigger], published: Iterable[Trigger]) -> list[Any]:
    """Return the messages that were published more often than the reference has them.

    Who came back within the backlog may be reminded of the same contents later than the
    reference has it: a message is known by its contents, not by its moment.
    """
    wanted, sent = list(expected), list(published)
    known = {_decision(one) for one in wanted}
    allowed = Counter(map(_message, wanted))
    # A first message that was postponed brings its own follow-ups, where the earlier one's were
    # dropped by what its visitor did.
    postponed = {_contents(one) for one in sent if one["step"] == 0 and _decision(one) not in known}
    followers = {_message(one) for one in sent if one["step"] and _contents(one) in postponed}
    allowed += Counter(followers)
    return list((Counter(map(_message, sent)) - allowed).elements())


def missing(
    expected: Iterable[Trigger],
    published: Iterable[Trigger],
    is_excused: Callable[[Trigger], bool],
) -> list[Trigger]:
    """Return the reference's triggers that were not published though nothing excuses it."""
    known = {_decision(one) for one in published}
    excused: list[Trigger] = []
    unexcused: list[Trigger] = []
    for one in sorted(expected, key=lambda trigger: (trigger["due_at_ms"], trigger["step"])):
        if _decision(one) in known:
            continue
        follows = any(_follows(one, earlier) for earlier in excused)
        (excused if follows or is_excused(one) else unexcused).append(one)
    return unexcused


def _follows(one: Trigger, earlier: Trigger) -> bool:
    """Say whether another moment of the earlier one moves or takes away this one."""
    same = all(one[name] == earlier[name] for name in ("tenant", "visitor", "kind"))
    return same and (one["kind"] == "exit_intent" or (one["step"] > 0 and earlier["step"] == 0))


def _decision(one: Trigger) -> tuple[Any, ...]:
    return (*_message(one)[:4], one["due_at_ms"])


def _contents(one: Trigger) -> tuple[Any, ...]:
    tenant, visitor, kind, _, contents = _message(one)
    return tenant, visitor, kind, contents


def _message(one: Trigger) -> tuple[Any, ...]:
    # Which of several exit signals is answered depends on which was read in time.
    is_exit = one["kind"] == "exit_intent"
    lines = [] if is_exit else one["cart"]["lines"]
    contents = frozenset(
        (line["product"]["id"], line["product"].get("variant"), line["quantity"]) for line in lines
    )
    return one["tenant"], one["visitor"], one["kind"], one["step"], contents
