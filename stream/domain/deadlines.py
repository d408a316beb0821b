"""A visitor's deadlines, all derived from the state, and what happens when they pass.

A deadline is stored nowhere else, so none can outlive its reason and none can be forgotten.
"""

from enum import Enum, auto
from typing import Final, assert_never

from stream.domain.campaign.arbiter import decide
from stream.domain.context import FoldContext
from stream.domain.forget import end_behaviour, expire, forget_choices
from stream.domain.kinds.kind import Candidate, Kinds
from stream.domain.policy import BEHAVIOUR_LIFE_MS, CONSENT_LIFE_MS, TOMBSTONE_LIFE_MS, Policy
from stream.domain.predictions import label_by_silence, label_due_ms
from stream.domain.visitor import Behaviour, Visitor

# Later than any moment that a clock can reach: a record's timestamp may be up to 2**63 - 1.
NEVER_MS: Final = 2**64


class Deadline(Enum):
    """What is due, in the order in which deadlines of the same moment are handled.

    A grant is valid up to and including its last moment, so a trigger that is due at that moment
    is decided before the expiry.
    """

    TRIGGERS = auto()
    LABEL = auto()
    EXPIRY = auto()
    RETENTION = auto()
    CONSENT = auto()
    TOMBSTONE = auto()


def next_due_ms(state: Visitor, policy: Policy, kinds: Kinds) -> int | None:
    """Return when the state's next deadline is; None if it has none."""
    due_ms, _ = _next(state, policy, kinds)
    return due_ms if due_ms < NEVER_MS else None


def pass_deadlines(context: FoldContext, until_ms: int, judged_ms: int | None) -> None:
    """Handle every deadline up to and including ``until_ms``, in the order of their moments.

    ``judged_ms`` is the clock that decisions are judged by; None judges each at its own due
    moment, as the ``records`` clock does.
    """
    while (due := _next(context.state, context.policy, context.kinds))[0] <= until_ms:
        due_ms, deadline = due
        context.now_ms = due_ms if judged_ms is None else judged_ms
        _handle(context, deadline, due_ms)


def _next(state: Visitor, policy: Policy, kinds: Kinds) -> tuple[int, Deadline]:  # noqa: C901 - one case a deadline
    """Return the first deadline: of the same moment the first in the order of `Deadline`."""
    due_ms, deadline = NEVER_MS, Deadline.TOMBSTONE
    behaviour = state.behaviour
    if behaviour is not None:
        if behaviour.memory:
            due_ms, deadline = _triggers_due_ms(behaviour, policy, kinds), Deadline.TRIGGERS
        if behaviour.predictions:
            label_ms = label_due_ms(behaviour, policy.horizon_ms)
            if label_ms is not None and label_ms < due_ms:
                due_ms, deadline = label_ms, Deadline.LABEL
    for choice in state.consent.values():
        until_ms = choice.valid_until_ms
        if until_ms is not None and until_ms < due_ms and choice.status == "granted":
            due_ms, deadline = until_ms, Deadline.EXPIRY
    if behaviour is not None and behaviour.seen_ms + BEHAVIOUR_LIFE_MS < due_ms:
        due_ms, deadline = behaviour.seen_ms + BEHAVIOUR_LIFE_MS, Deadline.RETENTION
    if behaviour is None and state.consent:
        end_ms = _consent_end_ms(state)
        if end_ms < due_ms:
            due_ms, deadline = end_ms, Deadline.CONSENT
    if state.erased_ms is not None and state.erased_ms + TOMBSTONE_LIFE_MS < due_ms:
        due_ms, deadline = state.erased_ms + TOMBSTONE_LIFE_MS, Deadline.TOMBSTONE
    return due_ms, deadline


def _consent_end_ms(state: Visitor) -> int:
    """Return until when choices without behaviour are kept, by the last choice or event."""
    last_ms = max(choice.at_ms for choice in state.consent.values())
    if state.seen_ms is not None:
        last_ms = max(last_ms, state.seen_ms)
    return last_ms + CONSENT_LIFE_MS


def _triggers_due_ms(behaviour: Behaviour, policy: Policy, kinds: Kinds) -> int:
    """Return when the first of the kinds that remember something has to propose a trigger."""
    first_ms, timed = NEVER_MS, kinds.timed
    for name in behaviour.memory:
        if name in timed:
            due_ms = timed[name].next_due_ms(behaviour, policy)
            if due_ms is not None and due_ms < first_ms:
                first_ms = due_ms
    return first_ms


def _offered(context: FoldContext, behaviour: Behaviour, due_ms: int) -> list[Candidate]:
    """Return what all kinds propose at a moment."""
    timed, policy = context.kinds.timed.values(), context.policy
    return [one for kind in timed for one in kind.offered(behaviour, policy, due_ms)]


def _handle(context: FoldContext, deadline: Deadline, due_ms: int) -> None:
    behaviour = context.state.behaviour or Behaviour(due_ms)
    match deadline:
        case Deadline.TRIGGERS:
            decide(context, _offered(context, behaviour, due_ms))
        case Deadline.LABEL:
            label_by_silence(context, behaviour, due_ms)
        case Deadline.EXPIRY:
            expire(context, due_ms)
        case Deadline.RETENTION:
            end_behaviour(context.state, behaviour)
        case Deadline.CONSENT:
            forget_choices(context.state)
        case Deadline.TOMBSTONE:
            context.state.erased_ms = None
        case _:
            assert_never(deadline)
