"""What counts for a person whatever browser was used: the cap, unsubscriptions and hard bounces.

A person is a keyed hash of an address (HMAC-SHA256), kept in Redis for 13 months at most. No
address is stored. An erasure of a visitor deletes what is kept of the person whom it was mailed as,
but an unsubscription: another browser of the same address may still agree to mails.
"""

import asyncio
import hashlib
import hmac
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import msgspec

from stream.adapters.redis.connection import Connection
from stream.delivery.channel import Later
from stream.delivery.trigger_reader import UNREADABLE
from stream.domain.campaign.reasons import Reason
from stream.domain.events import ErasureRequested
from stream.domain.feedback import MessageBounced, MessageUnsubscribed
from stream.domain.records import Trigger
from stream.domain.topics import CONSENT_EVENTS, MESSAGE_FEEDBACK
from stream.domain.visitor import Visitor, VisitorKey

ANSWER_WITHIN_S: Final = 5.0
KEPT_S: Final = 395 * 86_400
# For so long after an erasure it is still known as whom the visitor was mailed.
LINKED_S: Final = 600
UNSUBSCRIBED, BOUNCED, CONFIRMED = FIELDS = ("unsubscribed_ms", "bounced_ms", "confirmed_ms")

Note = Callable[[], Awaitable[None]]
Heard = MessageBounced | MessageUnsubscribed | ErasureRequested
_HEARD: Final[msgspec.json.Decoder[Heard]] = msgspec.json.Decoder(Heard)


class People:
    """Implements ``stream.delivery.trigger_reader.Listener`` for mails.

    Parameters
    ----------
    prefix
        Of the keys in Redis.
    cap_ms
        The least time between two marketing mails to one person.
    """

    topics: tuple[str, ...] = (CONSENT_EVENTS,)

    def __init__(self, redis: Connection, prefix: str, key: str, cap_ms: int) -> None:
        self._run, self._prefix, self._key, self._cap_ms = redis.run, prefix, key.encode(), cap_ms
        # What has to be stored, oldest first; all of it may be stored twice.
        self._notes: deque[Note] = deque()
        self._storing = asyncio.Lock()

    def person(self, tenant: str, address: str) -> str:
        """Return who an address is, whatever its case."""
        return f"{self._prefix}:person:{self._digest(tenant, address.strip().lower())}"

    def hear(self, topic: str, value: bytes) -> None:
        """Implements ``Listener.hear``."""
        if topic not in {CONSENT_EVENTS, MESSAGE_FEEDBACK}:
            return
        with suppress(*UNREADABLE):
            event = _HEARD.decode(value)
            self._notes.append(lambda: self._store(event))

    async def settle(self) -> None:
        """Implements ``Listener.settle``."""
        async with asyncio.timeout(ANSWER_WITHIN_S), self._storing:
            while self._notes:
                await self._notes[0]()
                self._notes.popleft()

    async def reserve(
        self, trigger: Trigger, person: str, state: Visitor | None, now_ms: int
    ) -> Later | Reason | None:
        """Return why the person gets no mail now; None: the place for this one is reserved.

        Raises
        ------
        TimeoutError
            Redis does not answer.
        """
        await self.settle()
        async with asyncio.timeout(ANSWER_WITHIN_S):
            visitor = self._visitor(VisitorKey(trigger.tenant, trigger.visitor))
            await self._run("SET", visitor, f"{now_ms} {person}", "EX", KEPT_S)
            if (reason := await self._suppressed(trigger, person, state)) is not None:
                return reason
            if trigger.class_ != "marketing" or not self._cap_ms:
                return None
            mark = f"{person}:mailed"
            free = await self._run("SET", mark, trigger.trigger_id, "NX", "PX", self._cap_ms)
            if free or await self._run("GET", mark) == trigger.trigger_id.encode():
                return None
            left_ms = await self._run("PTTL", mark)
            return Later(now_ms + max(left_ms, 1), "cap")

    def release(self, trigger: Trigger, person: str) -> None:
        """Give up the reserved place: the mail was not sent."""

        async def free() -> None:
            mark = f"{person}:mailed"
            if await self._run("GET", mark) == trigger.trigger_id.encode():
                await self._run("DEL", mark)

        self._notes.append(free)

    def note_bounce(self, person: str, at_ms: int) -> None:
        """Send nothing more to the person until the address is confirmed anew."""
        self._notes.append(lambda: self._raise(person, BOUNCED, at_ms))

    async def _suppressed(
        self, trigger: Trigger, person: str, state: Visitor | None
    ) -> Reason | None:
        choice = state.consent.get("marketing_email") if state is not None else None
        granted_ms = choice.at_ms if choice is not None and choice.status == "granted" else 0
        stored = await self._run("HMGET", person, *FIELDS)
        unsubscribed_ms, bounced_ms, confirmed_ms = (int(one or 0) for one in stored)
        stopped_ms = max(unsubscribed_ms, bounced_ms)
        if stopped_ms and granted_ms > max(stopped_ms, confirmed_ms):
            await self._raise(person, CONFIRMED, granted_ms)
        confirmed_ms = max(granted_ms, confirmed_ms)
        if bounced_ms >= confirmed_ms and bounced_ms:
            return Reason.BOUNCED
        is_refused = unsubscribed_ms >= confirmed_ms and unsubscribed_ms
        return Reason.UNSUBSCRIBED if is_refused and trigger.class_ == "marketing" else None

    async def _store(self, event: Heard) -> None:
        visitor = self._visitor(VisitorKey(event.tenant, event.visitor))
        found = await self._run("GET", visitor)
        if found is None:
            return
        mailed_ms, _, person = found.decode().partition(" ")
        match event:
            case ErasureRequested():
                # It may be read again after the visitor has come back.
                if int(mailed_ms) <= event.at_ms:
                    await self._forget(person)
                    # An unsubscription from before may be read after it: it is of another topic.
                    await self._run("EXPIRE", visitor, LINKED_S)
            case MessageUnsubscribed(channel="email"):
                await self._raise(person, UNSUBSCRIBED, event.at_ms)
            case MessageBounced(channel="email", bounce="hard"):
                await self._raise(person, BOUNCED, event.at_ms)
            case _:  # of another channel, or a soft bounce
                pass

    async def _forget(self, person: str) -> None:
        """Delete what is kept of a person, but an unsubscription."""
        await self._run("DEL", f"{person}:mailed")
        unsubscribed_ms, *_ = await self._run("HMGET", person, UNSUBSCRIBED)
        if unsubscribed_ms is None:
            await self._run("DEL", person)
        else:
            await self._run("HSET", person, BOUNCED, 0, CONFIRMED, 0)

    async def _raise(self, person: str, field: str, at_ms: int) -> None:
        """Store the moment unless a later one is stored."""
        (stored,) = await self._run("HMGET", person, field)
        if int(stored or 0) < at_ms:
            await self._run("HSET", person, field, at_ms)
            await self._run("EXPIRE", person, KEPT_S)

    def _visitor(self, who: VisitorKey) -> str:
        return f"{self._prefix}:visitor:{self._digest(*who)}"

    def _digest(self, tenant: str, of: str) -> str:
        return hmac.new(self._key, f"{tenant}\0{of}".encode(), hashlib.sha256).hexdigest()
