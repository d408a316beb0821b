"""Hands mails to the shop's mail server, over connections that are kept.

The one rule: what the server says of one mail concerns that mail alone; where it does not let us in
or is not there, all mails wait and none of them has failed.
"""

import logging
import time
from collections.abc import Callable
from email.message import EmailMessage
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from aiosmtplib import SMTP, SMTPDataError, SMTPException, SMTPRecipientsRefused
from msgspec import Struct

from stream.adapters import tls
from stream.config.settings import EmailerSettings
from stream.delivery.channel import Accepted, Declined

log = logging.getLogger(__name__)

ANSWER_WITHIN_S: Final = 30.0
# A server hangs up on who is silent for minutes; asking costs less than finding out too late.
FRESH_S: Final = 10.0
FIRST_HOLD_S: Final = 1.0
LONGEST_HOLD_S: Final = 60.0
PERMANENT: Final = 500


class Delayed(Struct, frozen=True):
    """The server would not take this mail now, with this code."""

    code: int


class ServerUnavailable(Struct, frozen=True):
    """The server takes no mail at all."""


class Connected(NamedTuple):
    """A connection, and when it was used last."""

    smtp: SMTP
    used_at: float


class Mailer:
    """The mail server; ``tell`` hears whether it takes mails, each time that changes."""

    def __init__(self, settings: EmailerSettings, tell: Callable[[bool], None]) -> None:
        url = urlsplit(settings.smtp_url)
        self._host, self._port = url.hostname or "", url.port or 25
        self._scheme = url.scheme
        self._context = (
            None
            if url.scheme == "smtp"
            else tls.context(settings.smtp_cafile, "emailer.smtp_cafile")
        )
        self._login = (settings.smtp_username or None, settings.smtp_password or None)
        self._idle: list[Connected] = []
        self._tell = tell
        self._hold_s = FIRST_HOLD_S
        self._held_until = 0.0
        self._is_up: bool | None = None

    @property
    def held_s(self) -> float:
        """For how long nothing should be tried."""
        return max(0.0, self._held_until - time.monotonic())

    async def send(self, mail: EmailMessage) -> Accepted | Declined | Delayed | ServerUnavailable:
        """Hand over a mail, and return what the server says."""
        smtp: SMTP | None = None
        try:
            smtp = await self._connection()
            await smtp.send_message(mail)
        except (SMTPRecipientsRefused, SMTPDataError) as error:
            code = error.code if isinstance(error, SMTPDataError) else error.recipients[0].code
            return self._keep(smtp, Declined(code) if code >= PERMANENT else Delayed(code))
        except (SMTPException, OSError) as error:
            if smtp is not None:
                smtp.close()
            self._hold(error)
            return ServerUnavailable()
        return self._keep(smtp, Accepted())

    async def close(self) -> None:
        """Hang up."""
        while self._idle:
            self._idle.pop().smtp.close()

    async def _connection(self) -> SMTP:
        while self._idle:
            smtp, used_at = self._idle.pop()
            if time.monotonic() - used_at < FRESH_S:
                return smtp
            try:
                await smtp.noop()
            except (SMTPException, OSError):
                smtp.close()
            else:
                return smtp
        username, password = self._login
        smtp = SMTP(
            hostname=self._host,
            port=self._port,
            use_tls=self._scheme == "smtps",
            start_tls=self._scheme == "smtp+starttls",
            tls_context=self._context,
            username=username,
            password=password,
            timeout=ANSWER_WITHIN_S,
        )
        await smtp.connect()
        return smtp

    def _keep(
        self, smtp: SMTP | None, answer: Accepted | Declined | Delayed
    ) -> Accepted | Declined | Delayed:
        """Keep the connection for the next mail: the server serves."""
        if smtp is not None and smtp.is_connected:
            self._idle.append(Connected(smtp, time.monotonic()))
        self._hold_s, self._held_until = FIRST_HOLD_S, 0.0
        self._note(is_up=True, why="")
        return answer

    def _hold(self, error: Exception) -> None:
        """Try nothing for a while, longer each time."""
        self._held_until = time.monotonic() + self._hold_s
        self._hold_s = min(2 * self._hold_s, LONGEST_HOLD_S)
        # Its own words may name a recipient.
        self._note(is_up=False, why=type(error).__name__)

    def _note(self, *, is_up: bool, why: str) -> None:
        if is_up != self._is_up:
            says = "takes mails" if is_up else f"takes no mails ({why}); they wait for it"
            log.warning("mail server %s:%d %s", self._host, self._port, says)
            self._tell(is_up)
        self._is_up = is_up
