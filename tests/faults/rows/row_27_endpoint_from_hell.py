"""One endpoint answers with all that a server can do wrong: the other gets every trigger."""

import json
import socket
import threading
import time
from contextlib import ExitStack
from itertools import count

from tests.faults.arena import Arena
from tests.faults.delivery import judged, leaves_a_cart, wait_for_others
from tests.faults.evidence import Evidence
from tests.faults.row import Row
from tests.rig.endpoint import Endpoint
from tests.rig.processes import LOOPBACK, Served

SECRET = "whsec_" + "A" * 32
WITHIN_MS = 20_000
DRIPS_S = 30.0
MIB = 1024 * 1024
# What the endpoint says, one after the other; then it goes on, drips, or hangs up.
ANSWERS = (
    b"HTTP/1.1 503 no\r\nRetry-After: " + b"9" * 309 + b"\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 no\r\nRetry-After: Fri, 99 Foo 99999 99:99:99\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 999 what\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 ok\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * MIB,
    b"HTTP/1.1 500 no\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    b"HTTP/1.1 500 no\r\nX-\xff: \x00\r\n\r\n",
    b"\x00\x01\x02 not HTTP at all\r\n\r\n",
    b"HTTP/1.1 302 there\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    b"",
)


class Hell:
    """An endpoint that answers with each of ``ANSWERS`` in turn, and every tenth time drips."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self.url = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}/hook"
        self.heard = count()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        for number in self.heard:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection, number), daemon=True).start()

    @staticmethod
    def _answer(connection: socket.socket, number: int) -> None:
        with connection:
            try:
                connection.recv(65_536)
                if number % (len(ANSWERS) + 1) < len(ANSWERS):
                    connection.sendall(ANSWERS[number % (len(ANSWERS) + 1)])
                else:
                    until = time.monotonic() + DRIPS_S
                    while time.monotonic() < until:
                        connection.sendall(b"H")
                        time.sleep(1)
            except OSError:
                return

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


def run(arena: Arena) -> None:
    """Let webhooks serve both endpoints."""
    arena.start_workers(1)
    with ExitStack() as stack:
        good, hell = Endpoint(), Hell()
        stack.callback(good.close)
        stack.callback(hell.close)
        endpoints = [
            {"name": name, "url": one.url, "secrets": [SECRET], "kinds": ["cart_abandonment"]}
            for name, one in (("good", good), ("hell", hell))
        ]
        own = {
            "CARTWAKE_WEBHOOKS__ENDPOINTS": json.dumps(endpoints),
            "CARTWAKE_WEBHOOKS__ALLOW_PRIVATE": "true",
        }
        webhooks = Served("webhooks", arena.folder, arena.environment | own, "webhooks")
        webhooks.start()
        stack.callback(webhooks.kill)
        arena.fault()
        with arena.shoppers(rate=10.0, script=leaves_a_cart):
            time.sleep(arena.seconds)
        arena.settle()
        wait_for_others(arena, "webhook/good", lambda _: True)
        arena.figures["alive"] = webhooks.running
        arena.figures["heard in hell"] = next(hell.heard)
        webhooks.stop()


def also(arena: Arena, _: Evidence) -> list[str]:
    """The good endpoint has every trigger in time, and the process was never restarted."""
    problems = judged(arena, "webhook/good", lambda _: True, WITHIN_MS)
    if not arena.figures["alive"]:
        problems.append("webhooks ended")
    if int(str(arena.figures["heard in hell"])) < len(ANSWERS):
        problems.append("the endpoint from hell was hardly asked")
    return problems


ROW = Row(27, "endpoint from hell", run, also, clocks=("live",), seconds=20)
