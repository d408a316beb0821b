"""A client that asks over HTTP as fast as it is answered, or at a rate; and one that listens.

The one rule: it does as little as it can, because it shares the machine with what it measures.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

CONNECTIONS = 32


class Asked(NamedTuple):
    """What came of asking: how often which status, how long each took, and for how long in all."""

    statuses: Counter[int]
    took_ms: list[float]
    seconds: float


async def ask(
    port: int, make: Callable[[int], bytes], seconds: float, rate: float | None = None
) -> Asked:
    """Send ``make(number)`` over some connections, closed-loop or ``rate`` times a second.

    At a rate, a request that has to wait for a connection waits as a user would: from its own time.
    """
    statuses: Counter[int] = Counter()
    took_ms: list[float] = []
    began = time.monotonic()
    numbers = iter(range(1 << 60))

    async def one_after_the_other() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (passed := time.monotonic() - began) < seconds:
            number = next(numbers)
            due = began + number / rate if rate else began + passed
            if due > time.monotonic():
                await asyncio.sleep(due - time.monotonic())
            writer.write(make(number))
            statuses[await _answered(reader)] += 1
            took_ms.append((time.monotonic() - due) * 1000)
        writer.close()

    await asyncio.gather(*(one_after_the_other() for _ in range(CONNECTIONS)))
    return Asked(statuses, took_ms, time.monotonic() - began)


def post(path: str, body: bytes, headers: str) -> bytes:
    """Return the bytes of a request."""
    head = f"POST {path} HTTP/1.1\r\nHost: edge\r\n{headers}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def listen(port: int, paths: list[str], heard: Callable[[int, bytes], None]) -> None:
    """Open a stream for each path, and tell of each line of it, until cancelled."""

    async def one(number: int, path: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: edge\r\n\r\n".encode())
        try:
            async for line in reader:
                heard(number, line)
        finally:
            writer.close()

    await asyncio.gather(*(one(number, path) for number, path in enumerate(paths)))


async def _answered(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    await reader.readexactly(length)
    return int(head[9:12])
