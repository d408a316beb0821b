"""A TCP proxy of our own between the worker and a server: cuts, black holes, delays, lost answers.

The one rule: whatever it does to bytes on their way it does whole: a connection either carries
everything in order, or it is reset.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Self

from tests.rig.processes import LOOPBACK, free_port

CHUNK = 65_536
PRODUCE = 0
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time at all: closing resets

Lose = Callable[[], bool]


class Proxy:
    """Carries connections from ``port`` to ``target``; its faults are switched from outside."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.target = target
        self.delay_s = 0.0
        self.lost = 0
        self._lose: Lose | None = None
        self._only_produced = False
        self._refuses = False
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._open: asyncio.Event
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start()).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop()).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self, *, refuse: bool = False) -> None:
        """Reset all connections; with ``refuse`` new ones too, until `heal`."""
        self._refuses = refuse
        self._call(self._reset()).result(10)

    def blackhole(self) -> None:
        """Take everything and hand on nothing, in neither direction, until `heal`."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def heal(self) -> None:
        """Carry on: what was held is handed on, new connections are taken."""
        self._refuses, self._lose, self.delay_s = False, None, 0.0
        self._loop.call_soon_threadsafe(self._open.set)

    def lose_answers(self, lose: Lose, *, only_produced: bool = False) -> None:
        """Reset a connection instead of handing on an answer, wherever ``lose()`` says so.

        With ``only_produced`` only Kafka's answers to produce requests are lost; the request
        itself has arrived.
        """
        self._lose, self._only_produced = lose, only_produced

    def _call(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _start(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    async def _stop(self) -> None:
        self._server.close()
        self._open.set()
        await self._reset()
        await asyncio.sleep(0)

    async def _reset(self) -> None:
        for connection in list(self._connections):
            connection.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self.target)
        except OSError:
            _reset(writer)
            return
        connection = _Connection(self, writer, far_writer)
        self._connections.add(connection)
        try:
            await asyncio.gather(connection.up(reader), connection.down(far_reader))
        except OSError:
            pass
        finally:
            connection.reset()
            self._connections.discard(connection)

    async def pass_on(self) -> None:
        """Return when bytes may go on."""
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        await self._open.wait()

    def loses(self, *, produced: bool) -> bool:
        """Say whether this answer is to be lost."""
        if self._lose is None or (self._only_produced and not produced) or not self._lose():
            return False
        self.lost += 1
        return True


class _Connection:
    """Both directions of one connection; of Kafka's it knows which requests produce."""

    def __init__(self, proxy: Proxy, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._proxy, self._near, self._far = proxy, near, far
        self._sent, self._answered = _Frames(), _Frames()
        self._producing: set[int] = set()

    async def up(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(CHUNK):
            await self._proxy.pass_on()
            for frame in self._sent.of(chunk):
                if struct.unpack_from(">h", frame)[0] == PRODUCE:
                    self._producing.add(struct.unpack_from(">i", frame, 4)[0])
            self._far.write(chunk)
            await self._far.drain()
        self._far.write_eof()

    async def down(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(CHUNK):
            await self._proxy.pass_on()
            answers = {struct.unpack_from(">i", frame)[0] for frame in self._answered.of(chunk)}
            if self._proxy.loses(produced=not self._producing.isdisjoint(answers)):
                self.reset()
                return
            self._producing -= answers
            self._near.write(chunk)
            await self._near.drain()
        self._near.write_eof()

    def reset(self) -> None:
        for writer in (self._near, self._far):
            _reset(writer)


class _Frames:
    """The heads of Kafka's length-prefixed frames in a stream that is read in any pieces.

    In a stream of anything else they mean nothing, and nobody asks.
    """

    HEAD = 8

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0

    def of(self, chunk: bytes) -> list[bytes]:
        heads, data = [], self._rest + chunk
        while True:
            skipped = min(self._skip, len(data))
            data, self._skip = data[skipped:], self._skip - skipped
            if self._skip or len(data) < 4 + self.HEAD:
                break
            size = struct.unpack_from(">i", data)[0]
            heads.append(data[4 : 4 + self.HEAD])
            self._skip = 4 + max(size, self.HEAD)
        self._rest = data
        return heads


def _reset(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    if found is not None and not writer.is_closing():
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
