"""Some recipients meet every fault of directory and mail server: all others get their mail."""

import json
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stream.runtime.failpoint import VARIABLE
from tests.faults.arena import Arena
from tests.faults.delivery import judged, leaves_a_cart, number_of, wait_for_others
from tests.faults.evidence import Evidence
from tests.faults.row import Row
from tests.rig.mailbox import Mailbox
from tests.rig.processes import LOOPBACK, Emailer

# By the visitor's number modulo 12: what the directory answers.
ODD = {
    0: b'{"email": "anna@[shop.example"}',
    1: '{"email": "anna@mail.example", "name": "J\xfcrgen"}'.encode("latin-1"),
    2: b"[" * 100_000,
    3: b'{"email": "anna@mail.ex',
    4: b'{"email": "anna@shop.example\\u200b"}',
}
REFUSED, GREYLISTED, CUT = 5, 6, 7
LAST_ODD = CUT
# The ninth visitor, whose delivery the failpoint makes fail each time.
NINTH, DEFECT = "v8-", "v8-defect"
OWN = {"CARTWAKE_EMAILER__AT_ONCE": "2", VARIABLE: f"delivery:{DEFECT}:raise"}
WITHIN_MS = 20_000


def is_other(visitor: str) -> bool:
    """Return whether nothing is wrong with this visitor."""
    return number_of(visitor) > LAST_ODD and visitor != DEFECT


def named(_, topic, visitor, event):
    """Give the ninth visitor a name that the failpoint can have."""
    name = DEFECT if visitor.startswith(NINTH) else visitor
    yield topic, name.encode(), json.dumps(event | {"visitor": name}).encode()


class Directory(BaseHTTPRequestHandler):
    """The shop's customers, over HTTP."""

    def do_GET(self) -> None:
        visitor = self.path.rpartition("/")[2]
        address = {"email": f"{visitor}@mail.example"}
        content = ODD.get(number_of(visitor), json.dumps(address).encode())
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class OddMailbox(Mailbox):
    """A mail server that fails at some recipients, each time."""

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's
        answers = {REFUSED: "550 no such user", GREYLISTED: "450 try later"}
        if answer := answers.get(number_of(address.partition("@")[0])):
            return answer
        return await super().handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's
        if number_of(envelope.rcpt_tos[0].partition("@")[0]) == CUT:
            server.transport.abort()
            return "250 taken"
        return await super().handle_DATA(server, session, envelope)


def run(arena: Arena) -> None:
    """Let an e-mailer serve good and odd recipients, and a defect meet one of the good ones."""
    arena.start_workers(1)
    with ExitStack() as stack:
        mailbox = stack.enter_context(OddMailbox())
        directory = ThreadingHTTPServer((LOOPBACK, 0), Directory)
        stack.callback(directory.shutdown)
        threading.Thread(target=directory.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://{LOOPBACK}:{directory.server_port}/customers/{{visitor}}"
        emailer = Emailer(arena.folder, arena.environment | OWN, mailbox.url, url)
        emailer.start()
        stack.callback(emailer.kill)
        arena.fault()
        with arena.shoppers(rate=10.0, script=leaves_a_cart, mishaps=named):
            time.sleep(arena.seconds)
        arena.settle()
        wait_for_others(arena, "email", is_other)
        arena.figures["alive"] = emailer.running
        arena.figures["defects"] = _defects(emailer)
        emailer.stop()


def _defects(emailer: Emailer) -> float:
    page = emailer.get("/metrics")[1]
    lines = [it for it in page.splitlines() if it.startswith("cartwake_defects_total")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def also(arena: Arena, _: Evidence) -> list[str]:
    """All others have their mail in time, and the e-mailer was never restarted."""
    problems = judged(arena, "email", is_other, WITHIN_MS)
    if not arena.figures["alive"]:
        problems.append("the e-mailer ended")
    if not arena.figures["defects"]:
        problems.append("the failpoint was not passed")
    return problems


ROW = Row(26, "one bad recipient among many", run, also, clocks=("live",), seconds=20)
