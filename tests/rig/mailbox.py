"""A real mail server on loopback that keeps what it is given."""

import asyncio
import threading
from collections import Counter
from email import message_from_bytes
from email.message import EmailMessage  # noqa: TC003 - pytest reads it, too
from email.policy import default
from typing import Self

from aiosmtpd.smtp import SMTP

from tests.rig.processes import LOOPBACK, free_port

TAKEN = "250 taken"


class Mailbox:
    """Takes mails; ``answers`` maps a recipient to what is said to ``RCPT`` once or more."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"smtp://{LOOPBACK}:{self.port}"
        self.mails: list[EmailMessage] = []
        self.answers: dict[str, list[str]] = {}
        self.data_answers: list[str] = []
        self.sender_answers: list[str] = []
        self.cuts: set[str] = set()  # recipients or ids of mails at which it hangs up
        self.connections = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen."""
        listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(listening)))
        self._thread.start()
        assert listening.wait(10)

    def stop(self) -> None:
        """Listen no more, and hang up on everybody."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()
            self._thread = None

    async def _serve(self, listening: threading.Event) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        sessions: list[SMTP] = []

        def session() -> SMTP:
            sessions.append(SMTP(self))
            return sessions[-1]

        server = await self._loop.create_server(session, LOOPBACK, self.port)
        listening.set()
        await self._over.wait()
        server.close()
        for one in sessions:
            if one.transport is not None:
                one.transport.abort()
        await asyncio.sleep(0)  # so that the connections are lost before the loop is

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def recipients(self) -> Counter[str]:
        """Count the mails of each recipient."""
        with self._lock:
            return Counter(mail["To"] for mail in self.mails)

    def ids(self) -> Counter[str]:
        """Count the mails of each trigger."""
        with self._lock:
            return Counter(mail["Message-ID"][1:33] for mail in self.mails)

    # What aiosmtpd calls.

    async def handle_EHLO(self, _, session, __, hostname, responses):  # noqa: N802 - the name is aiosmtpd's
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, _, __, envelope, address, options):  # noqa: N802 - the name is aiosmtpd's
        if self.sender_answers:
            return self.sender_answers.pop(0)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _, __, envelope, address, ___):  # noqa: N802 - the name is aiosmtpd's
        if self.answers.get(address):
            return self.answers[address].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, __, envelope):  # noqa: N802 - the name is aiosmtpd's
        if self.data_answers:
            return self.data_answers.pop(0)
        mail = message_from_bytes(envelope.content, policy=default)
        if mail["Message-ID"] in self.cuts or mail["To"] in self.cuts:
            server.transport.abort()
            return TAKEN
        with self._lock:
            self.mails.append(mail)
        return TAKEN
