"""A shop's endpoint for webhooks, in a thread of the test."""

import json
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.rig.processes import LOOPBACK

SECRET = "whsec_" + b64encode(b"a secret of this test").decode()


class Endpoint:
    """A shop's endpoint; ``delay`` may hold its answers up, ``statuses`` are its next ones."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, dict[str, str]]] = []
        self.statuses: list[int] = []
        self.delay = threading.Event()
        self.delay.set()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.heard.append((body, dict(self.headers)))
                endpoint.delay.wait(60)
                self.send_response(endpoint.statuses.pop(0) if endpoint.statuses else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def visitors(self) -> list[str]:
        """Return of whom it was told, in order."""
        return [json.loads(body)["data"]["visitor"] for body, _ in self.heard]

    def types(self) -> list[str]:
        """Return what it was told, in order."""
        return [json.loads(body)["type"] for body, _ in self.heard]

    def close(self) -> None:
        """Listen no more."""
        self.delay.set()
        self._server.shutdown()
        self._server.server_close()
