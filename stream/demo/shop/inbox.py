"""The demo's mail server and mailboxes: the shop's inbox page shows the mails of each address.

No mail is relayed. The newest mails are kept in memory only.
"""

import asyncio
from collections import deque
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import partial
from typing import Any, Final, NamedTuple

from aiosmtpd.smtp import SMTP

from stream.demo.embedded import LOOPBACK

MAILS_KEPT: Final = 1_000
DOMAIN: Final = "tea-house.example"


class InboxMail(NamedTuple):
    """A mail as a mail program shows it."""

    number: int
    to: str
    subject: str
    at: datetime  # in this machine's zone, which is that of its only reader
    text: str
    html: str


class Inbox:
    """Takes mails by SMTP, and returns those of a visitor."""

    def __init__(self) -> None:
        self._mails: deque[InboxMail] = deque(maxlen=MAILS_KEPT)
        self._count = 0

    async def serve(self, port: int) -> None:
        """Listen on loopback."""
        loop = asyncio.get_running_loop()
        await loop.create_server(partial(SMTP, self, hostname=DOMAIN), LOOPBACK, port)

    def of(self, visitor: str) -> list[InboxMail]:
        """Return a visitor's mails, the newest first."""
        return [one for one in reversed(self._mails) if one.to == address_of(visitor)]

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: ANN401, N802 - aiosmtpd's
        """Keep a mail."""
        mail = message_from_bytes(envelope.content, policy=default)
        self._count += 1
        self._mails.append(_mail_of(self._count, mail))
        return "250 kept"


def address_of(visitor: str) -> str:
    """Return a visitor's mail address."""
    return f"{visitor}@{DOMAIN}"


def _mail_of(number: int, mail: EmailMessage) -> InboxMail:
    parts = {kind: mail.get_body((kind,)) for kind in ("plain", "html")}
    text, html = (part.get_content() if part is not None else "" for part in parts.values())
    at = mail["Date"].datetime.astimezone()
    return InboxMail(number, str(mail["To"]), str(mail["Subject"]), at, text, html)
