"""What one channel still owes for the triggers of one partition, and from when on.

The one rule: what has been read says all: triggers, cancels and outcomes may be read in any order,
and read again. Times are milliseconds UTC.
"""

import heapq
from enum import IntEnum
from typing import Final

from msgspec import Struct

from stream.domain.events import Event
from stream.domain.feedback import (
    CancelRefused,
    CancelSent,
    MessageRefused,
    MessageSent,
    MessageSkipped,
    Outcome,
)
from stream.domain.records import Trigger, TriggerCancel
from stream.domain.visitor import VisitorKey

# A trigger is useless a day after it was due, and nothing before that matters to it.
LOOK_BACK_MS = 25 * 3_600_000


class Stage(IntEnum):
    """How far a channel is with a trigger; outcomes raise it alone, so that any order will do."""

    OWED = 0
    UNTRIED = 1
    TRIED = 2  # whatever the next hop said, it may act on it
    OVER = 3


REACHED: Final[dict[type[Event], Stage]] = {
    MessageSkipped: Stage.UNTRIED,
    MessageRefused: Stage.TRIED,
    MessageSent: Stage.TRIED,
    CancelSent: Stage.OVER,
    CancelRefused: Stage.OVER,
}


class PendingDelivery(Struct, eq=False):
    """A trigger to be acted on, or the cancel of one that was tried, from one moment to another.

    ``attempts`` have failed so far.
    """

    about: Trigger | TriggerCancel
    expires_at_ms: int
    not_before_ms: int
    attempts: int = 0

    @property
    def who(self) -> VisitorKey:
        """Whom it is about."""
        return VisitorKey(self.about.tenant, self.about.visitor)


class TriggerStatus(Struct, eq=False):
    """What has been read of one trigger; ``expires_at_ms`` is 0 until it has been itself."""

    until_ms: int = 0
    stage: Stage = Stage.OWED
    trigger: Trigger | None = None
    expires_at_ms: int = 0
    cancel: TriggerCancel | None = None

    def owes(self) -> Trigger | TriggerCancel | None:
        """Return what is to be told, if anything."""
        if self.stage is Stage.OWED:
            return self.trigger
        # Without the trigger nobody knows whether this channel wants to hear of it.
        is_called_back = self.stage is Stage.TRIED and self.expires_at_ms
        return self.cancel if is_called_back else None


def is_outcome(event: Event, channel: str) -> bool:
    """Say whether this tells that the channel is done with a trigger, or with its cancel."""
    return isinstance(event, Outcome) and event.channel == channel


class Backlog:
    """The debts of one partition."""

    def __init__(self) -> None:
        self._known: dict[str, TriggerStatus] = {}
        self._open: dict[str, PendingDelivery] = {}
        self._sent_ms: dict[VisitorKey, int] = {}
        self._due: list[tuple[int, int, PendingDelivery]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._open)

    def take(self, trigger: Trigger, now_ms: int) -> None:
        """Know what a trigger asks for."""
        known = self._know(trigger.trigger_id, now_ms)
        known.expires_at_ms = trigger.expires_at_ms
        if known.stage is Stage.OWED:  # afterwards its moment is enough, and it may be large
            known.trigger = known.trigger or trigger
        self._review(trigger.trigger_id, now_ms)

    def cancel(self, cancel: TriggerCancel, now_ms: int) -> None:
        """Know that a trigger must not be acted on any more."""
        known = self._know(cancel.trigger_id, now_ms)
        known.cancel = known.cancel or cancel
        self._review(cancel.trigger_id, now_ms)

    def is_cancelled(self, debt: PendingDelivery) -> bool:
        """Say whether the trigger must not be acted on any more."""
        known = self._known.get(debt.about.trigger_id)
        return known is not None and known.cancel is not None

    def settle(self, outcome: Outcome, now_ms: int) -> None:
        """Know what became of a trigger, or of its cancel."""
        was_tried = isinstance(outcome, MessageSkipped) and outcome.attempts > 0
        stage = Stage.TRIED if was_tried else REACHED[type(outcome)]
        self._reach(outcome.trigger_id, stage, now_ms)
        if isinstance(outcome, MessageSent):
            who = VisitorKey(outcome.tenant, outcome.visitor)
            self._sent_ms[who] = max(outcome.at_ms, self._sent_ms.get(who, outcome.at_ms))

    def drop(self, debt: PendingDelivery, now_ms: int) -> None:
        """Owe a cancel no more that need not be told."""
        self._reach(debt.about.trigger_id, Stage.OVER, now_ms)

    def last_sent_ms(self, who: VisitorKey) -> int | None:
        """Return when the visitor was last sent anything; None: not within the last day."""
        return self._sent_ms.get(who)

    def postpone(self, debt: PendingDelivery, not_before_ms: int) -> None:
        """Let a debt that is owed, and taken, be taken again from this moment on."""
        debt.not_before_ms = not_before_ms
        self._number += 1  # of two that are due at once the first comes first
        heapq.heappush(self._due, (not_before_ms, self._number, debt))

    def take_due(self, now_ms: int) -> PendingDelivery | None:
        """Return the debt that has been due for longest, which is then the caller's to end."""
        first = self._first()
        if first is None or first.not_before_ms > now_ms:
            return None
        heapq.heappop(self._due)
        return first

    def next_ms(self) -> int | None:
        """Return from when on something can be taken; None: nothing is owed, or all is taken."""
        first = self._first()
        return None if first is None else first.not_before_ms

    def forget(self, now_ms: int) -> None:
        """Drop what nobody asks for any more."""
        old = {one for one, known in self._known.items() if known.until_ms < now_ms}
        for trigger_id in old - self._open.keys():
            del self._known[trigger_id]
        for who in [one for one, at_ms in self._sent_ms.items() if at_ms < now_ms - LOOK_BACK_MS]:
            del self._sent_ms[who]

    def _know(self, trigger_id: str, now_ms: int) -> TriggerStatus:
        known = self._known.setdefault(trigger_id, TriggerStatus())
        known.until_ms = now_ms + LOOK_BACK_MS
        return known

    def _reach(self, trigger_id: str, stage: Stage, now_ms: int) -> None:
        known = self._know(trigger_id, now_ms)
        known.stage, known.trigger = max(known.stage, stage), None
        self._review(trigger_id, now_ms)

    def _review(self, trigger_id: str, now_ms: int) -> None:
        """Owe what follows from all that is known of a trigger, and nothing else."""
        known, debt = self._known[trigger_id], self._open.get(trigger_id)
        about = known.owes()
        if debt is not None and debt.about is not about:
            del self._open[trigger_id]
        if about is not None and (debt is None or debt.about is not about):
            debt = self._open[trigger_id] = PendingDelivery(about, known.expires_at_ms, now_ms)
            self.postpone(debt, now_ms)

    def _first(self) -> PendingDelivery | None:
        """Return the first debt that is still owed."""
        while self._due:
            _, _, debt = self._due[0]
            if self._open.get(debt.about.trigger_id) is debt:
                return debt
            heapq.heappop(self._due)
        return None
