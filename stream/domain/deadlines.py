"""A visitor's deadlines, all derived from the state, and what happens when they pass.

The one rule: nothing else remembers a deadline, so none can dangle and none can be forgotten.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import assert_never

from stream.domain.forget import expire
from stream.domain.policy import BEHAVIOUR_LIFE_MS, TOMBSTONE_LIFE_MS, Policy
from stream.domain.predictions import label_by_silence, label_due_ms
from stream.domain.triggers.cart_abandonment import (
    first_due_ms,
    follow_up_due_ms,
    remind_again,
    remind_first,
)
from stream.domain.turn import Turn
from stream.domain.visitor import Behaviour, Visitor


class Deadline(IntEnum):
    """What is due, in the order in which deadlines of the same moment are handled.

    A grant is valid up to and including its last moment, so a reminder that is due at that
    moment comes before the expiry.
    """

    REMINDER = 0
    FOLLOW_UP = 1
    LABEL = 2
    EXPIRY = 3
    RETENTION = 4
    TOMBSTONE = 5


def next_due_ms(state: Visitor, policy: Policy) -> int | None:
    """Return when the state needs looking at next; None where nothing is ever due."""
    due = min(_deadlines(state, policy), default=None)
    return due[0] if due is not None else None


def pass_deadlines(turn: Turn, until_ms: int, judged_ms: int | None) -> bool:
    """Handle every deadline up to and including ``until_ms``; return whether there was one.

    They are handled in the order of their moments.

    ``judged_ms`` is the clock that decisions are judged by; None judges each at its own due
    moment, as the ``records`` clock does.
    """
    passed = False
    while (due := min(_deadlines(turn.state, turn.policy), default=None)) is not None:
        due_ms, deadline = due
        if due_ms > until_ms:
            break
        passed = True
        turn.now_ms = due_ms if judged_ms is None else judged_ms
        _handle(turn, deadline, due_ms)
    return passed


def _deadlines(state: Visitor, policy: Policy) -> Iterator[tuple[int, Deadline]]:
    if state.behaviour is not None:
        yield from _of_behaviour(state.behaviour, policy)
    for choice in state.consent.values():
        if choice.status == "granted" and choice.valid_until_ms is not None:
            yield choice.valid_until_ms, Deadline.EXPIRY
    if state.erased_ms is not None:
        yield state.erased_ms + TOMBSTONE_LIFE_MS, Deadline.TOMBSTONE


def _of_behaviour(behaviour: Behaviour, policy: Policy) -> Iterator[tuple[int, Deadline]]:
    reminder_ms = first_due_ms(behaviour, policy.cart_abandonment)
    if reminder_ms is not None:
        yield reminder_ms, Deadline.REMINDER
    follow_up_ms = follow_up_due_ms(behaviour, policy.cart_abandonment)
    if follow_up_ms is not None:
        yield follow_up_ms, Deadline.FOLLOW_UP
    label_ms = label_due_ms(behaviour, policy.horizon_ms)
    if label_ms is not None:
        yield label_ms, Deadline.LABEL
    yield behaviour.seen_ms + BEHAVIOUR_LIFE_MS, Deadline.RETENTION


def _handle(turn: Turn, deadline: Deadline, due_ms: int) -> None:
    behaviour = turn.state.behaviour or Behaviour(due_ms)
    match deadline:
        case Deadline.REMINDER:
            remind_first(turn, behaviour, due_ms)
        case Deadline.FOLLOW_UP:
            remind_again(turn, behaviour, due_ms)
        case Deadline.LABEL:
            label_by_silence(turn, behaviour, due_ms)
        case Deadline.EXPIRY:
            expire(turn, due_ms)
        case Deadline.RETENTION:
            turn.state.behaviour = None
        case Deadline.TOMBSTONE:
            turn.state.erased_ms = None
        case _:
            assert_never(deadline)
