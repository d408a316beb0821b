"""Hands mails to the shop's mail server, over connections that are kept open.

What the server answers to one mail concerns that mail alone. If it is unreachable or does not let
us in, all mails wait and none of them has failed. In between lies a mail at which the server
fails: all wait after it at first, but if another mail gets through, the fault is its own.
"""

import logging
import re
import time
from collections.abc import Callable
from email.message import EmailMessage
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)
from msgspec import Struct

from stream.adapters import tls
from stream.config.settings import EmailerSettings
from stream.delivery.channel import Accepted, Declined

log = logging.getLogger(__name__)

ANSWER_WITHIN_S: Final = 30.0
# A server closes connections that are silent for minutes; a question costs less than a lost mail.
FRESH_S: Final = 10.0
FIRST_HOLD_S: Final = 1.0
LONGEST_HOLD_S: Final = 60.0
PERMANENT: Final = 500
# The mail is larger than the server takes (RFC 1870).
TOO_LARGE: Final = 552
# Enhanced codes (RFC 3463) of a full mailbox, of networks, contents and policies.
NOT_THE_ADDRESS: Final = re.compile(r"5\.(2\.2|[3-7])\b")
MOST_SUSPECTS: Final = 1_000
# So many failures at mails, with no answer in between, mean that the server fails at all.
FAILURES_IN_A_ROW: Final = 3


class Delayed(Struct, frozen=True):
    """The server did not take this mail now, with this code if it gave one."""

    code: int | None = None


class AddressRefused(Struct, frozen=True):
    """The server refused this recipient for good, with this code: the address does not work."""

    code: int


class ServerUnavailable(Struct, frozen=True):
    """The server takes no mail at all for now."""


Answer = Accepted | Declined | Delayed | AddressRefused | ServerUnavailable
AnswerT = TypeVar("AnswerT", bound=Answer)


class Connected(NamedTuple):
    """A connection, and when it was last used."""

    smtp: SMTP
    used_at: float


class Mailer:
    """The mail server; ``note`` hears whether it takes mails, each time that changes."""

    def __init__(self, settings: EmailerSettings, note: Callable[[bool], None]) -> None:
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
        self._note_up = note
        self._hold_s = FIRST_HOLD_S
        self._held_until = 0.0
        self._is_up: bool | None = None
        self._accepted = 0  # mails so far
        self._failures = 0  # in a row
        self._suspects: dict[str, int] = {}  # mails at which it failed, and ``_accepted`` then

    @property
    def held_s(self) -> float:
        """For how many seconds nothing should be sent."""
        return max(0.0, self._held_until - time.monotonic())

    async def send(self, mail: EmailMessage) -> Answer:
        """Hand over a mail, and return what the server answers."""
        smtp: SMTP | None = None
        try:
            smtp = await self._connection()
            await smtp.send_message(mail)
        except (SMTPException, OSError) as error:
            if (answer := _of_this_mail(smtp, error)) is not None:
                return self._keep(smtp, answer)
            if smtp is not None:
                smtp.close()
            return self._failed(mail, smtp, error)
        self._accepted += 1
        self._suspects.pop(mail["Message-ID"], None)
        return self._keep(smtp, Accepted())

    def _failed(
        self, mail: EmailMessage, smtp: SMTP | None, error: Exception
    ) -> Delayed | Declined | ServerUnavailable:
        """Return what it means that the server failed at a mail without an answer about it."""
        self._failures += 1
        if smtp is not None:
            accepted_then = self._suspects.pop(mail["Message-ID"], self._accepted)
            self._suspects[mail["Message-ID"]] = self._accepted
            if len(self._suspects) > MOST_SUSPECTS:
                del self._suspects[next(iter(self._suspects))]
            if accepted_then < self._accepted:  # another mail got through: the server works
                return _own_fault(error)
        # It let us in: whether it fails at others, too, only they can show.
        if smtp is None or self._failures >= FAILURES_IN_A_ROW:
            self._hold(error)
        return ServerUnavailable()

    async def close(self) -> None:
        """Close the connections."""
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

    def _keep(self, smtp: SMTP | None, answer: AnswerT) -> AnswerT:
        """Keep the connection for the next mail: the server works."""
        if smtp is not None and smtp.is_connected:
            self._idle.append(Connected(smtp, time.monotonic()))
        self._hold_s, self._held_until, self._failures = FIRST_HOLD_S, 0.0, 0
        self._note(is_up=True, why="")
        return answer

    def _hold(self, error: Exception) -> None:
        """Send nothing for a while, longer each time."""
        self._held_until = time.monotonic() + self._hold_s
        self._hold_s = min(2 * self._hold_s, LONGEST_HOLD_S)
        # Its own words may name a recipient.
        self._note(is_up=False, why=type(error).__name__)

    def _note(self, *, is_up: bool, why: str) -> None:
        if is_up != self._is_up:
            says = "takes mails" if is_up else f"takes no mails ({why}); they wait"
            level = logging.INFO if is_up else logging.WARNING
            log.log(level, "Mail server %s:%d %s", self._host, self._port, says)
            self._note_up(is_up)
        self._is_up = is_up


def _of_this_mail(
    smtp: SMTP | None, error: Exception
) -> Declined | Delayed | AddressRefused | None:
    """Return what the server answered to this mail; None: its answer may be about any."""
    match error:
        case SMTPRecipientsRefused():
            refused = error.recipients[0]
            is_hard = refused.code >= PERMANENT and refused.code != TOO_LARGE
            if is_hard and not NOT_THE_ADDRESS.match(refused.message):
                return AddressRefused(refused.code)
            return _own_fault(refused)
        case SMTPDataError():
            return _own_fault(error)
        case SMTPSenderRefused() if error.code == TOO_LARGE:
            return _own_fault(error)
        case SMTPNotSupported() if smtp is not None and smtp.is_connected:
            return Declined()
        case _:
            return None


def _own_fault(error: Exception) -> Declined | Delayed:
    code = error.code if isinstance(error, SMTPResponseException) else None
    return Declined(code) if code is not None and code >= PERMANENT else Delayed(code)
