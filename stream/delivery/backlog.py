"""What one channel still has to deliver of one partition's triggers, and from when on.

It follows from what has been read alone: triggers, cancels and outcomes may be read in any order,
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
    """How far a channel is with a trigger; outcomes only raise it, so any order will do."""

    PENDING = 0
    UNTRIED = 1
    TRIED = 2  # the next hop may act on it, whatever it answered
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

    ``attempts`` have failed so far. ``is_begun`` while it is being sent. ``outcome`` is what became
    of it, once that is known and not stored yet.
    """

    about: Trigger | TriggerCancel
    expires_at_ms: int
    not_before_ms: int
    attempts: int = 0
    is_begun: bool = False
    outcome: Outcome | None = None

    @property
    def visitor(self) -> VisitorKey:
        """The visitor it is about."""
        return VisitorKey(self.about.tenant, self.about.visitor)


class TriggerStatus(Struct, eq=False):
    """What has been read of one trigger; ``expires_at_ms`` is 0 until the trigger has been read."""

    until_ms: int = 0
    stage: Stage = Stage.PENDING
    trigger: Trigger | None = None
    expires_at_ms: int = 0
    cancel: TriggerCancel | None = None

    def next(self) -> Trigger | TriggerCancel | None:
        """Return what has to be delivered next, if anything."""
        if self.stage is Stage.PENDING:
            return self.trigger
        # Without the trigger it is not known whether this channel delivers its kind.
        can_be_cancelled = self.stage is Stage.TRIED and self.expires_at_ms
        return self.cancel if can_be_cancelled else None


def is_outcome(event: Event, channel: str) -> bool:
    """Return whether the channel is done with a trigger, or with its cancel, by this event."""
    return isinstance(event, Outcome) and event.channel == channel


class Backlog:
    """The pending deliveries of one partition."""

    def __init__(self) -> None:
        self._statuses: dict[str, TriggerStatus] = {}
        self._open: dict[str, PendingDelivery] = {}
        self._sent_ms: dict[VisitorKey, int] = {}
        self._due: list[tuple[int, int, PendingDelivery]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._open)

    def take(self, trigger: Trigger, now_ms: int) -> None:
        """Add a trigger that was read."""
        status = self._status_of(trigger.trigger_id, now_ms)
        status.expires_at_ms = trigger.expires_at_ms
        if status.stage is Stage.PENDING:  # afterwards its expiry is enough, and it may be large
            status.trigger = status.trigger or trigger
        self._review(trigger.trigger_id, now_ms)

    def cancel(self, cancel: TriggerCancel, now_ms: int) -> None:
        """Add a cancel that was read."""
        status = self._status_of(cancel.trigger_id, now_ms)
        status.cancel = status.cancel or cancel
        self._review(cancel.trigger_id, now_ms)

    def is_cancelled(self, pending: PendingDelivery) -> bool:
        """Return whether the trigger has been cancelled."""
        status = self._statuses.get(pending.about.trigger_id)
        return status is not None and status.cancel is not None

    def settle(self, outcome: Outcome, now_ms: int) -> None:
        """Add an outcome of a trigger, or of its cancel."""
        was_tried = isinstance(outcome, MessageSkipped) and outcome.attempts > 0
        stage = Stage.TRIED if was_tried else REACHED[type(outcome)]
        self._reach(outcome.trigger_id, stage, now_ms)
        if isinstance(outcome, MessageSent):
            visitor = VisitorKey(outcome.tenant, outcome.visitor)
            earlier_ms = self._sent_ms.get(visitor, outcome.at_ms)
            self._sent_ms[visitor] = max(outcome.at_ms, earlier_ms)

    def drop(self, pending: PendingDelivery, now_ms: int) -> None:
        """Drop a cancel that need not be sent."""
        self._reach(pending.about.trigger_id, Stage.OVER, now_ms)

    def last_sent_ms(self, visitor: VisitorKey) -> int | None:
        """Return when the visitor was last sent a message; None: not within the last day."""
        return self._sent_ms.get(visitor)

    def postpone(self, pending: PendingDelivery, not_before_ms: int) -> None:
        """Let a delivery that was taken be taken again from this moment on."""
        pending.not_before_ms = not_before_ms
        self._number += 1  # of two that are due at once the earlier one comes first
        heapq.heappush(self._due, (not_before_ms, self._number, pending))

    def take_due(self, now_ms: int) -> PendingDelivery | None:
        """Return the delivery that has been due for longest; the caller settles or postpones it."""
        first = self._first()
        if first is None or first.not_before_ms > now_ms:
            return None
        heapq.heappop(self._due)
        return first

    def next_ms(self) -> int | None:
        """Return when the next delivery can be taken; None: there is none, or all are taken."""
        first = self._first()
        return None if first is None else first.not_before_ms

    def forget(self, now_ms: int) -> None:
        """Drop what can no longer matter."""
        old = {one for one, status in self._statuses.items() if status.until_ms < now_ms}
        for trigger_id in old - self._open.keys():
            del self._statuses[trigger_id]
        since_ms = now_ms - LOOK_BACK_MS
        for visitor in [one for one, at_ms in self._sent_ms.items() if at_ms < since_ms]:
            del self._sent_ms[visitor]

    def _status_of(self, trigger_id: str, now_ms: int) -> TriggerStatus:
        status = self._statuses.setdefault(trigger_id, TriggerStatus())
        status.until_ms = now_ms + LOOK_BACK_MS
        return status

    def _reach(self, trigger_id: str, stage: Stage, now_ms: int) -> None:
        status = self._status_of(trigger_id, now_ms)
        status.stage, status.trigger = max(status.stage, stage), None
        self._review(trigger_id, now_ms)

    def _review(self, trigger_id: str, now_ms: int) -> None:
        """Bring the pending delivery in line with all that has been read of a trigger."""
        status, pending = self._statuses[trigger_id], self._open.get(trigger_id)
        about = status.next()
        if pending is not None and pending.about is not about:
            del self._open[trigger_id]
        if about is not None and (pending is None or pending.about is not about):
            pending = self._open[trigger_id] = PendingDelivery(about, status.expires_at_ms, now_ms)
            self.postpone(pending, now_ms)

    def _first(self) -> PendingDelivery | None:
        """Return the first delivery that is still pending."""
        while self._due:
            _, _, pending = self._due[0]
            if self._open.get(pending.about.trigger_id) is pending:
                return pending
            heapq.heappop(self._due)
        return None
