"""Acts on what is owed, one thing after the other: prepare, ask once more, send, tell.

The one rule: nothing is sent in doubt, and nothing else is done before it has been told what became
of what was sent: whoever is killed in between repeats that one message and no other.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol

from aiokafka.errors import KafkaError

from stream.delivery.backlog import PendingDelivery
from stream.delivery.channel import Channel, Failed, Later, ParcelT, Refused, Sent
from stream.delivery.fresh_state import FreshState, InDoubt
from stream.delivery.metrics import DeliveryMetrics
from stream.delivery.recheck import objection, quiet_until_ms
from stream.delivery.rounds import Rounds
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

DOUBT_MS: Final = 1_000


class Outcomes(Protocol):
    """Where outcomes are told."""

    async def tell(self, outcome: Outcome) -> None:
        """Return once the outcome is stored, however long that takes."""
        ...


@dataclass(kw_only=True)
class Dispatcher(Generic[ParcelT]):
    """Acts for one channel; any number of tasks may ``work`` at it.

    Parameters
    ----------
    name
        The channel's, as outcomes tell it.
    idle_ms
        How long after their last activity visitors count as still here: they see the cart.
    """

    name: str
    channel: Channel[ParcelT]
    inbox: TriggerReader
    latest: FreshState
    teller: Outcomes
    metrics: DeliveryMetrics
    now_ms: Callable[[], int]
    idle_ms: int
    rounds: Rounds = field(default_factory=Rounds, init=False)
    _is_over: bool = field(default=False, init=False)

    async def work(self) -> None:
        """Act on what is due until told to stop, and finish what has been begun."""
        while not self._is_over:
            self.rounds.note()
            taken = self.inbox.take_due()
            self.metrics.note(self.name, *self.inbox.owed(), self.now_ms())
            if taken is None:
                await self.inbox.wait()
            else:
                async with self.inbox.acting(taken):
                    await self._act(taken)

    def stop(self) -> None:
        """Begin nothing more."""
        self._is_over = True

    async def _act(self, taken: Taken) -> None:
        try:
            result = await self._result(taken)
        except (InDoubt, TimeoutError, KafkaError):
            result = Later(self.now_ms() + DOUBT_MS, "in_doubt")
        debt, owed = taken.debt, taken.share.owed
        if isinstance(result, Later | Failed):
            debt.attempts += isinstance(result, Failed)
            owed.postpone(debt, result.not_before_ms)
            self.metrics.postponed.labels(self.name, result.why).inc()
        elif result is None:
            owed.drop(debt, self.now_ms())
        else:
            outcome = self._outcome(debt, result)
            await self.teller.tell(outcome)
            owed.settle(outcome, self.now_ms())
            self.metrics.count(outcome, debt.about.kind)

    async def _result(self, taken: Taken) -> Sent | Refused | Failed | Later | Reason | None:
        """Return what became of it; None: a cancel that need not be told."""
        parcel = await self._parcel(taken)
        if parcel is None or isinstance(parcel, Later | Reason):
            return parcel
        if not await self.inbox.holds(taken.share):
            return Later(self.now_ms() + DOUBT_MS, "not_owned")
        began = time.monotonic()
        result = await self.channel.send(parcel, taken.debt.attempts, self.now_ms())
        self.metrics.send_seconds.labels(self.name).observe(time.monotonic() - began)
        return result

    async def _parcel(self, taken: Taken) -> ParcelT | Later | Reason | None:
        """Return what is to be sent, or what speaks against it."""
        debt, is_late = taken.debt, taken.debt.expires_at_ms <= self.now_ms()
        # Restraint needs nobody's consent.
        if isinstance(debt.about, TriggerCancel):
            return None if is_late else self.channel.recall(debt.about)
        if is_late:
            return Reason.EXPIRED
        owed = taken.share.owed
        if owed.is_cancelled(debt):
            return Reason.CANCELLED
        last_sent_ms = owed.last_sent_ms(debt.who)
        parcel = await self.channel.prepare(debt.about, last_sent_ms, self.now_ms())
        if isinstance(parcel, Later | Reason):
            return parcel
        objected = await self._objection(taken, debt.about)
        return parcel if objected is None else objected

    async def _objection(self, taken: Taken, trigger: Trigger) -> Later | Reason | None:
        """Return what speaks against it by all that is stored now."""
        state, now_ms = await self.latest.state(taken), self.now_ms()
        if (why := objection(trigger, state, now_ms)) is not None:
            return why
        until_ms = quiet_until_ms(state, self.idle_ms) if trigger.class_ == "marketing" else 0
        return Later(until_ms, "still_here") if until_ms > now_ms else None

    def _outcome(self, debt: PendingDelivery, result: Sent | Refused | Reason) -> Outcome:
        about = debt.about
        of_cancel = isinstance(about, TriggerCancel)
        told: dict[str, Any] = {
            # The same outcome told again has the same id.
            "id": make_id(self.name, about.trigger_id, type(about).__name__, type(result).__name__),
            "tenant": about.tenant,
            "visitor": about.visitor,
            "at_ms": self.now_ms(),
            "trigger_id": about.trigger_id,
            "channel": self.name,
        }
        match result:
            case Sent():
                return (CancelSent if of_cancel else MessageSent)(**told)
            case Refused(code):
                return (CancelRefused if of_cancel else MessageRefused)(**told, code=code)
            case _:
                return MessageSkipped(**told, reason=result, attempts=debt.attempts)
