"""``cartwake edge`` as a process: the service on its address, its metrics on another.

It ends in order: it takes no new requests, asks open streams to reconnect, and waits until Kafka
has acknowledged the records in flight.
"""

import asyncio
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stream.adapters.wire.bots import is_bot
from stream.config.settings import Settings
from stream.delivery.templates import templates_of
from stream.domain.topics import LANES, TRIGGER_CANCELS, TRIGGERS
from stream.edge import service
from stream.edge.collector.device import device_of
from stream.edge.gateway.hub import Hub
from stream.edge.message_links import try_pages
from stream.edge.metrics import EdgeMetrics
from stream.edge.requests import KIB
from stream.errors import CartwakeError, UsageError
from stream.runtime.health import Where
from stream.runtime.liveness import Liveness
from stream.runtime.process import ProgramInfo, StopSignal, beat, process, watched
from stream.runtime.worker_clock import system_ms

HEADERS_WITHIN_S = 10.0
FINISH_WITHIN_S = 8
MAX_HEAD_BYTES = 32 * KIB
HEADER_BYTES = 32
HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)
# Beside those of streams; beyond them the answer is 503.
CONNECTIONS = 2_000
# Pages come back all at once after a restart.
BACKLOG = 4096
EXAMPLES = {
    "keys": '[{key = "...", kind = "browser", origins = ["https://shop.example"]}]',
    "signing_keys": '["what openssl rand -hex 32 prints"]',
}


def run(settings: Settings) -> int:
    """Serve until told to stop, and return the exit code.

    Raises
    ------
    UsageError
        There is no key, or no signing key.
    CartwakeError
        An address cannot be listened on.
    """
    with process("serving"):
        for name, example in EXAMPLES.items():
            if not getattr(settings.edge, name):
                raise UsageError(f"edge.{name} is empty: set it in the file, {name} = {example}")
        try_pages(templates_of(settings.emailer))
        # Reading their lists takes half a second, which the first shopper must not wait for.
        is_bot("")
        device_of("")
        registry = CollectorRegistry()
        asyncio.run(_serve(settings, registry, EdgeMetrics(registry)))
    return 0


async def _serve(settings: Settings, registry: CollectorRegistry, metrics: EdgeMetrics) -> None:
    liveness = Liveness()
    async with service.running(settings, metrics, system_ms) as running:

        def observe() -> None:
            liveness.beat()
            liveness.note_waiting(*([] if running.log.is_up else ["Kafka does not answer"]))

        most = settings.edge.max_streams + CONNECTIONS
        with _listening(settings.edge.listen) as listener:
            host, port = listener.getsockname()[:2]
            with watched(_program(settings, registry, f"{host} port {port}"), liveness):
                beating = asyncio.create_task(beat(observe))
                await Server(running.app, running.hub, most).serve(sockets=[listener])
                beating.cancel()


def _program(settings: Settings, registry: CollectorRegistry, listening: str) -> ProgramInfo:
    edge = settings.edge
    return ProgramInfo(
        "edge",
        (
            f"listening on {listening}",
            f"tenants {' '.join(sorted({key.tenant for key in edge.keys}))}",
            f"Kafka at {settings.kafka.bootstrap}",
            f"topics {' '.join((*LANES, TRIGGERS, TRIGGER_CANCELS))}",
        ),
        Where("edge.metrics", edge.metrics_host, edge.metrics_port),
        registry,
        lambda: True,
    )


class HeadTooLargeError(Exception):
    """A request's head is larger than any that a browser sends."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes the connection of a client whose request's head takes too long or is too large."""

    _hanging_up: TimerHandle | None = None
    # Of the head: what has been read, and what came since, of which nothing is read yet.
    _head_bytes = 0
    _unread_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Read on, unless a line of the head, or of a body's frame, has no end."""
        self._unread_bytes += len(data)
        if self._unread_bytes - len(data) > MAX_HEAD_BYTES:
            self._head_bytes = self._unread_bytes
            self.send_400_response("")
            return
        super().data_received(data)

    def on_url(self, url: bytes) -> None:
        """Count a part of the request's address."""
        self._read(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, or one behind a body, as HTTP/2 counts it (RFC 9113, 6.5.2)."""
        self._read(len(name) + len(value) + HEADER_BYTES)
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, which has limits of its own."""
        self._unread_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that cannot be read, or whose head is too large, and hang up."""
        if self._head_bytes <= MAX_HEAD_BYTES:
            super().send_400_response(msg)
        elif not self.transport.is_closing():
            self.transport.write(HEAD_TOO_LARGE)
            self.transport.close()

    def _read(self, size: int) -> None:
        self._head_bytes += size
        self._unread_bytes = 0
        if self._head_bytes > MAX_HEAD_BYTES:
            # The parser stops, and uvicorn sends its answer to a request that cannot be read.
            raise HeadTooLargeError

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a request's head."""
        self._head_bytes = self._unread_bytes = 0
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """Cancel the header timeout."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the header timeout."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop_waiting()
        self._hanging_up = self.loop.call_later(HEADERS_WITHIN_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._hanging_up is not None:
            self._hanging_up.cancel()
            self._hanging_up = None


class Server(uvicorn.Server):
    """Ends the open streams first, which would outlast any timeout, and then returns."""

    def __init__(self, app: ASGIApp, hub: Hub, most_connections: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                limit_concurrency=most_connections,
                timeout_graceful_shutdown=FINISH_WITHIN_S,
            )
        )
        self._hub = hub

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let a signal end the service in order: uvicorn itself would raise it again at the end."""
        stop = StopSignal(lambda number: self.handle_exit(number, None))
        yield
        stop.raise_if_interrupted()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ask the streams to reconnect, then end as uvicorn does."""
        self._hub.close()
        await super().shutdown(sockets)


@contextmanager
def _listening(listen: str) -> Iterator[socket.socket]:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on, and answers wait 40 ms for the client.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, int(port)))
            listener.listen(BACKLOG)
        except OSError as error:
            why = f"cannot listen on {listen}: {error.strerror}"
            raise CartwakeError(f"edge.listen: {why}") from error
        yield listener
