"""The HTTP pages of a running process: metrics, is it alive, is it ready.

Requests are answered on threads of their own, so a check must be fast and safe to call there.
Requests are not logged and change nothing.
"""

import json
import socket
import sys
from collections.abc import Callable
from errno import EADDRINUSE
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Thread
from typing import Any, NamedTuple, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from stream.errors import CartwakeError

# Whether all is well, and the reasons if it is not.
Check = Callable[[], tuple[bool, list[str]]]


class Where(NamedTuple):
    """A host and a port, and how their settings begin, such as ``worker.metrics``."""

    settings: str
    host: str
    port: int


class HealthPage:
    """``/metrics``, ``/healthz`` and ``/readyz`` over HTTP, from construction until ``close``.

    Parameters
    ----------
    registry
        What ``/metrics`` shows.
    where
        Where to listen; port 0 is any free port.
    alive, ready
        What ``/healthz`` and ``/readyz`` answer: 200, or 503 with the reasons.

    Raises
    ------
    CartwakeError
        If it cannot listen there, naming the setting.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        where: Where,
        *,
        alive: Check,
        ready: Check,
    ) -> None:
        try:
            self._server = _Server(where.host, where.port, _Pages(registry, alive, ready))
        except OSError as error:
            raise CartwakeError(_why_not(error, where)) from error
        serve = partial(self._server.serve_forever, poll_interval=0.1)
        self._thread = Thread(target=serve, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on, also where any free one was asked for."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _why_not(error: OSError, where: Where) -> str:
    settings, host, port = where
    if error.errno == EADDRINUSE:
        return f"{settings}_port: {port} on {host} is in use: set another, or 0 for a free one"
    setting = f"{settings}_{'port' if isinstance(error, PermissionError) else 'host'}"
    return f"{setting}: cannot listen on {host} port {port}: {error.strerror}"


class _Pages:
    """What stands on each page: status, content type and body."""

    def __init__(self, registry: CollectorRegistry, alive: Check, ready: Check) -> None:
        self._registry = registry
        self._checks = {"/healthz": alive, "/readyz": ready}

    def answer(self, path: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        if path in ("/", "/metrics"):
            encode, content_type = choose_encoder(accept)
            return HTTPStatus.OK, content_type, encode(self._registry)
        if path in self._checks:
            ok, reasons = _asked(self._checks[path])
            status = HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE
            body = json.dumps({"ok": ok, "reasons": reasons}).encode()
            return status, "application/json", body + b"\n"
        return HTTPStatus.NOT_FOUND, "text/plain", b"/metrics /healthz /readyz\n"


def _asked(check: Check) -> tuple[bool, list[str]]:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - what cannot be asked is not well, and says so
        return False, [f"the check itself failed: {type(error).__name__}"]


class _Server(ThreadingHTTPServer):
    def __init__(self, host: str, port: int, pages: _Pages) -> None:
        self.pages = pages
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Request)

    def server_bind(self) -> None:
        # HTTPServer's own looks up its name by DNS, which can hang a start for many seconds.
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Stay quiet about a client that went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Request(BaseHTTPRequestHandler):
    server: _Server
    # A client that sends nothing holds its thread no longer than this.
    timeout = 5.0

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if self.command in ("GET", "HEAD"):
            return True
        self._send(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"GET or HEAD\n")
        return False

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self._send(*self.server.pages.answer(path, self.headers.get("Accept", "")))

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_response(self, code: int, message: str | None = None) -> None:
        """Answer without a log line and without saying which software this is."""
        self.send_response_only(code, message)
        self.send_header("Date", self.date_time_string())
        self.send_header("Cache-Control", "no-store")

    def log_message(self, *_: object) -> None:
        """Log no request: they come every few seconds."""
