"""Acts on pending deliveries one after the other: prepare, recheck, send, write the outcome.

Nothing is sent in doubt, and a task begins nothing else before the outcome of what it sent is
stored. After a crash in between one message is sent again, and no other.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol

from aiokafka.errors import KafkaError

from stream.delivery.backlog import PendingDelivery
from stream.delivery.channel import Accepted, Channel, Declined, Failed, Later, MessageT
from stream.delivery.fresh_state import FreshState, InDoubt
from stream.delivery.metrics import DeliveryMetrics
from stream.delivery.recheck import quiet_until_ms, recheck
from stream.delivery.trigger_reader import Taken, TriggerReader
from stream.domain.campaign.reasons import Reason
from stream.domain.feedback import (
    CancelRefused,
    CancelSent,
    MessageRefused,
    MessageSent,
    MessageSkipped,
    Outcome,
)
from stream.domain.ids import make_id
from stream.domain.records import Trigger, TriggerCancel
from stream.runtime.bulkhead import REASON, Bulkhead, UnitDefect
from stream.runtime.failpoint import raising
from stream.runtime.liveness import TaskProgress

DOUBT_MS: Final = 1_000
KNOWN_CODES: Final = range(100, 600)
UNIT: Final = "delivery"
# Part of outcomes' ids, so they stay whatever the classes are called.
NAMES: Final[dict[type, str]] = {Accepted: "Sent", Declined: "Refused"}


class Outcomes(Protocol):
    """Where outcomes are written."""

    async def write(self, outcome: Outcome) -> None:
        """Return once the outcome is stored, however long that takes."""
        ...


@dataclass(kw_only=True)
class Dispatcher(Generic[MessageT]):
    """Delivers for one channel; any number of tasks may ``work`` for it.

    Parameters
    ----------
    name
        The channel's name, as outcomes have it.
    """

    name: str
    channel: Channel[MessageT]
    reader: TriggerReader
    fresh_state: FreshState
    outcomes: Outcomes
    metrics: DeliveryMetrics
    now_ms: Callable[[], int]
    bulkhead: Bulkhead
    progress: TaskProgress = field(default_factory=TaskProgress, init=False)
    _is_stopped: bool = field(default=False, init=False)

    async def work(self) -> None:
        """Deliver what is due until told to stop, and finish what has been begun."""
        while not self._is_stopped:
            self.progress.note()
            taken = self.reader.take_due()
            self.metrics.note(self.name, *self.reader.pending(), self.now_ms())
            if taken is None:
                await self.reader.wait()
            else:
                async with self.reader.acting(taken):
                    await self._deliver(taken)

    def stop(self) -> None:
        """Begin nothing more."""
        self._is_stopped = True

    async def _deliver(self, taken: Taken) -> None:
        """Act on one pending delivery; a defect in it stays with it."""
        pending = taken.pending
        with self.bulkhead.guard(pending.about.trigger_id) as guarded:
            raising(UNIT, pending.about.visitor)
            await self._act(taken)
        if guarded.defect is not None:
            await self._put_aside(taken, guarded.defect)

    async def _act(self, taken: Taken) -> None:
        pending = taken.pending
        # An outcome that could not be written is written first: sending again would repeat it.
        if pending.outcome is None:
            try:
                result = await self._result(taken)
            except (InDoubt, TimeoutError, KafkaError):
                result = Later(self.now_ms() + DOUBT_MS, "in_doubt")
            if isinstance(result, Later | Failed):
                pending.attempts += isinstance(result, Failed)
                self._postpone(taken, result.not_before_ms, result.why)
                return
            if result is None:
                taken.share.backlog.drop(pending, self.now_ms())
                return
            pending.outcome = self._outcome(pending, result)
        await self._settle(taken, pending.outcome)

    def _postpone(self, taken: Taken, not_before_ms: int, why: str) -> None:
        taken.share.backlog.postpone(taken.pending, not_before_ms)
        self.metrics.postponed.labels(self.name, why).inc()

    async def _settle(self, taken: Taken, outcome: Outcome) -> None:
        await self.outcomes.write(outcome)
        taken.share.backlog.settle(outcome, self.now_ms())
        self.metrics.count(outcome, taken.pending.about.kind)

    async def _put_aside(self, taken: Taken, defect: UnitDefect) -> None:
        """Try a delivery with a defect again later; after its last try skip it for good."""
        pending = taken.pending
        if pending.is_begun:  # it may have been sent: a cancel has to follow
            pending.attempts, pending.is_begun = pending.attempts + 1, False
        if defect.again_after_s is not None:
            self._postpone(taken, self.now_ms() + int(defect.again_after_s * 1000), REASON)
            return
        outcome = pending.outcome
        if outcome is None:
            is_cancel = isinstance(pending.about, TriggerCancel)
            outcome = self._outcome(pending, Declined() if is_cancel else Reason.DEFECT)
            with self.bulkhead.guard(pending.about.trigger_id):
                await self.outcomes.write(outcome)
                self.metrics.count(outcome, pending.about.kind)
        # Even if its outcome cannot be written, this process does not act on it again.
        self.bulkhead.forget(pending.about.trigger_id)
        taken.share.backlog.settle(outcome, self.now_ms())

    async def _result(self, taken: Taken) -> Accepted | Declined | Failed | Later | Reason | None:
        """Return what became of it; None: a cancel that need not be sent."""
        message = await self._message(taken)
        if message is None or isinstance(message, Later | Reason):
            return message
        if not await self.reader.confirm_ownership(taken.share):
            return Later(self.now_ms() + DOUBT_MS, "not_owned")
        began = time.monotonic()
        taken.pending.is_begun = True
        result = await self.channel.send(message, taken.pending.attempts, self.now_ms())
        taken.pending.is_begun = False
        self.metrics.send_seconds.labels(self.name).observe(time.monotonic() - began)
        return result

    async def _message(self, taken: Taken) -> MessageT | Later | Reason | None:
        """Return what is to be sent, or why it is not."""
        pending, is_late = taken.pending, taken.pending.expires_at_ms <= self.now_ms()
        # A cancel needs no consent.
        if isinstance(pending.about, TriggerCancel):
            return None if is_late else self.channel.recall(pending.about)
        if is_late:
            return Reason.EXPIRED
        backlog = taken.share.backlog
        if backlog.is_cancelled(pending):
            return Reason.CANCELLED
        last_sent_ms = backlog.last_sent_ms(pending.visitor)
        message = await self.channel.prepare(pending.about, last_sent_ms, self.now_ms())
        if isinstance(message, Later | Reason):
            return message
        reason = await self._recheck(taken, pending.about, message)
        return message if reason is None else reason

    async def _recheck(
        self, taken: Taken, trigger: Trigger, message: MessageT
    ) -> Later | Reason | None:
        """Return why it must not be sent by all that is stored now; None: nothing is against it."""
        state, now_ms = await self.fresh_state.state(taken), self.now_ms()
        if (why := recheck(trigger, state, now_ms)) is not None:
            return why
        until_ms = quiet_until_ms(state) if trigger.class_ == "marketing" else 0
        if until_ms > now_ms:
            return Later(until_ms, "still_here")
        return await self.channel.last_look(message, trigger, state, now_ms)

    def _outcome(self, pending: PendingDelivery, result: Accepted | Declined | Reason) -> Outcome:
        about = pending.about
        of_cancel = isinstance(about, TriggerCancel)
        name = NAMES.get(type(result), "Skip")
        fields: dict[str, Any] = {
            # The same outcome written again has the same id.
            "id": make_id(self.name, about.trigger_id, type(about).__name__, name),
            "tenant": about.tenant,
            "visitor": about.visitor,
            "at_ms": self.now_ms(),
            "trigger_id": about.trigger_id,
            "channel": self.name,
        }
        match result:
            case Accepted():
                return (CancelSent if of_cancel else MessageSent)(**fields)
            case Declined(code):
                # A code outside the contract would make the outcome unreadable.
                known = code if code in KNOWN_CODES else None
                return (CancelRefused if of_cancel else MessageRefused)(**fields, code=known)
            case _:
                return MessageSkipped(**fields, reason=result, attempts=pending.attempts)
