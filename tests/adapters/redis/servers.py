"""What the tests of the Redis edge share: heard log lines, and a line that loses answers."""

import asyncio
import contextlib
import logging
from urllib.parse import urlsplit

from tests.rig.processes import LOOPBACK


class Heard(logging.Handler):
    """Log lines as they come; ``said`` waits for one without looking at the clock."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self._news = asyncio.Event()

    def emit(self, record):
        self.lines.append(record.getMessage())
        self._news.set()

    async def said(self, part):
        """Return once a line with ``part`` in it has been logged."""
        while not any(part in line for line in self.lines):
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 30)


@contextlib.contextmanager
def hearing(name):
    """Listen to one module's log."""
    heard, logger = Heard(), logging.getLogger(name)
    logger.addHandler(heard)
    logger.setLevel(logging.INFO)
    try:
        yield heard
    finally:
        logger.setLevel(logging.NOTSET)
        logger.removeHandler(heard)


class Line:
    """A TCP line to a server that can lose the answer to what was just sent through it."""

    def __init__(self, url):
        self._port = urlsplit(url).port
        self.loses_next = False
        self.lost = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._carry, LOOPBACK, 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"redis://{LOOPBACK}:{port}/0"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _carry(self, reader, writer):
        inner, outer = await asyncio.open_connection(LOOPBACK, self._port)
        there = asyncio.create_task(_pump(reader, outer))
        try:
            while answer := await inner.read(65_536):
                if self.loses_next:
                    self.loses_next = False
                    self.lost += 1
                    break
                writer.write(answer)
                await writer.drain()
        finally:
            there.cancel()
            for one in (writer, outer):
                one.close()
                with contextlib.suppress(OSError):
                    await one.wait_closed()


async def _pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
