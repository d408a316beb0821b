"""The channel of mails: recipient, moment, and what the mail server answers.

Nothing about a recipient leaves this module except inside the mail.
"""

import logging
import random
from email.message import EmailMessage
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from stream.delivery.channel import Accepted, Declined, Failed, Later
from stream.domain.campaign.reasons import Reason
from stream.domain.records import Trigger, TriggerCancel
from stream.domain.visitor import Visitor, VisitorKey
from stream.emailer.compose import Composer
from stream.emailer.directory import Directory, Recipient, Unavailable
from stream.emailer.pace import Pace
from stream.emailer.people import People
from stream.emailer.quiet import QuietHours
from stream.emailer.smtp import AddressRefused, Delayed, Mailer, ServerUnavailable
from stream.errors import UsageError

log = logging.getLogger(__name__)

GOES_LAST_MS: Final = 5_000
# As long as greylisting usually takes, and then longer each time.
RETRY_S: Final = (60, 300, 900, 1_800, 3_600, 7_200)


class PreparedMail(NamedTuple):
    """A mail, what it is about, and to whom it goes: the key of ``People.person``."""

    mail: EmailMessage
    trigger: Trigger
    person: str


class Mail:
    """Implements ``stream.delivery.channel.Channel``.

    Parameters
    ----------
    zone
        The time zone of recipients without one.
    cap_ms
        The least time between two mails to one visitor; ``people`` has that of persons.
    """

    def __init__(  # noqa: PLR0913 - what a mail takes
        self,
        directory: Directory,
        composer: Composer,
        mailer: Mailer,
        people: People,
        *,
        pace: Pace,
        quiet: QuietHours,
        zone: ZoneInfo,
        cap_ms: int,
    ) -> None:
        self._directory, self._composer, self._mailer = directory, composer, mailer
        self._people = people
        self._pace, self._quiet, self._zone, self._cap_ms = pace, quiet, zone, cap_ms

    async def prepare(
        self, trigger: Trigger, last_sent_ms: int | None, now_ms: int
    ) -> PreparedMail | Later | Reason:
        """Implements ``Channel.prepare``."""
        if (later := self._not_yet(trigger, last_sent_ms, now_ms)) is not None:
            return later
        try:
            recipient = await self._directory.find(VisitorKey(trigger.tenant, trigger.visitor))
        except Unavailable as why:
            log.warning("The customer directory is unavailable; mails wait: %s", why)
            return Later(now_ms + int(why.again_after_s * 1000), "directory_away")
        if recipient is None:
            return Reason.NO_ADDRESS
        if (later := self._not_now(trigger, recipient, now_ms)) is not None:
            return later
        try:
            mail = self._composer.compose(trigger, recipient, now_ms)
        except UsageError as why:
            log.error("A mail cannot be composed: %s", why)  # noqa: TRY400 - a trace would quote names
            return Reason.TEMPLATE
        return PreparedMail(mail, trigger, self._people.person(trigger.tenant, recipient.email))

    async def last_look(
        self, message: PreparedMail, trigger: Trigger, state: Visitor | None, now_ms: int
    ) -> Later | Reason | None:
        """Implements ``Channel.last_look``."""
        return await self._people.reserve(trigger, message.person, state, now_ms)

    def _not_yet(self, trigger: Trigger, last_sent_ms: int | None, now_ms: int) -> Later | None:
        """Return why no mail goes now, whatever its recipient."""
        if self._mailer.held_s:
            return Later(now_ms + int(self._mailer.held_s * 1000), "server_away")
        next_ms = (last_sent_ms or 0) + self._cap_ms
        if trigger.class_ == "marketing" and last_sent_ms is not None and next_ms > now_ms:
            return Later(next_ms, "cap")
        return None

    def _not_now(self, trigger: Trigger, recipient: Recipient, now_ms: int) -> Later | None:
        """Return why no mail goes to this recipient now."""
        if trigger.class_ == "marketing":
            over_ms = self._quiet.over_ms(now_ms, self._zone_of(recipient))
            if over_ms > now_ms:
                return Later(over_ms, "quiet_hours")
        domain = recipient.email.rpartition("@")[2].lower()
        next_ms = self._pace.next_ms(domain, now_ms)
        if next_ms > now_ms:
            return Later(next_ms, "pace")
        self._pace.take(domain, now_ms)
        return None

    def recall(self, cancel: TriggerCancel) -> None:
        """Implements ``Channel.recall``: a mail that was sent stays sent."""

    async def send(
        self, message: PreparedMail, attempts: int, now_ms: int
    ) -> Accepted | Declined | Failed | Later:
        """Implements ``Channel.send``."""
        answer = await self._mailer.send(message.mail)
        if not isinstance(answer, Accepted):
            self._people.release(message.trigger, message.person)
        match answer:
            case AddressRefused(code=code):
                self._people.note_bounce(message.person, now_ms)
                return Declined(code)
            case ServerUnavailable():
                # The mail that met it goes last: others show whether the fault is its own.
                held_ms = int(self._mailer.held_s * 1000)
                return Later(now_ms + held_ms + GOES_LAST_MS, "server_away")
            case Delayed():
                wait_s = RETRY_S[min(attempts, len(RETRY_S) - 1)]
                # Not all that failed together are tried together again.
                wait_ms = int(wait_s * 1000 * random.uniform(1, 1.2))  # noqa: S311 - no secret
                return Failed(now_ms + wait_ms, "delayed")
            case _:
                return answer

    def _zone_of(self, recipient: Recipient) -> ZoneInfo:
        try:
            return ZoneInfo(recipient.timezone) if recipient.timezone else self._zone
        except (KeyError, ValueError, OSError):  # not one that this machine knows
            return self._zone
