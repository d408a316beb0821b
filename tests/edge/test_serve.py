"""``cartwake edge`` as it runs: on a real Kafka, under bad clients, and at its end."""

import json
import signal
import socket
import time
from base64 import b64encode
from contextlib import ExitStack, closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection

import pytest

from stream.config.settings import EdgeSettings, Settings
from stream.domain.topics import LANES
from stream.edge import serve
from stream.edge.visitors import Visitors
from stream.errors import CartwakeError, UsageError
from tests.edge.script.visit import MOST_CONNECTIONS, site
from tests.edge.shop import EDGE, SIGNING
from tests.rig.processes import (
    LOOPBACK,
    Program,
    cartwake_command,
    cartwake_environment,
    free_port,
    wait_until,
)

SECRET = "the server's secret"
LOGIN = {"Authorization": "Basic " + b64encode(f"{SECRET}:".encode()).decode()}


class Running:
    """An edge as a process."""

    def __init__(self, kafka, folder):
        self.port = free_port()
        settings = {
            "CARTWAKE_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "CARTWAKE_EDGE__LISTEN": f"{LOOPBACK}:{self.port}",
            "CARTWAKE_EDGE__METRICS_PORT": "0",
            "CARTWAKE_EDGE__KEYS": json.dumps([{"key": SECRET, "tenant": "tea", "kind": "server"}]),
            "CARTWAKE_EDGE__SIGNING_KEYS": json.dumps(SIGNING),
        }
        self.program = Program(
            cartwake_command("edge"), folder / "edge.log", cartwake_environment(settings)
        )
        self.program.start()
        wait_until(lambda: self.ask("GET", "/readyz")[0] == HTTPStatus.OK, "the edge", 30)

    def ask(self, method, path, body=None):
        connection = HTTPConnection(LOOPBACK, self.port, timeout=20)
        try:
            connection.request(method, path, body, LOGIN)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        except OSError:
            return 0, {}, b""
        finally:
            connection.close()

    def view(self, name, visitor="anna"):
        event = {"type": "page_viewed", "id": name, "visitor": visitor, "url": "/"}
        event["at_ms"] = time.time_ns() // 1_000_000
        return self.ask("POST", "/v1/events", json.dumps([event]))


@pytest.fixture
def kafka(empty_kafka):
    empty_kafka.create_topics([*LANES, "triggers", "trigger-cancels"], 3)
    return empty_kafka


@pytest.fixture
def edge(kafka, tmp_path):
    running = Running(kafka, tmp_path)
    yield running
    running.program.kill()


def test_a_visitors_records_meet_in_one_partition_as_javas_clients_have_it(kafka, edge):
    for number in range(20):
        assert edge.view(f"e{number}", f"v{number}")[0] == HTTPStatus.OK
    kafka.produce("cart-events", [(f"v{n}".encode(), b"{}", 0, None, None) for n in range(20)])
    ours = {message.key: message.partition for message in kafka.read_all("page-views")}
    theirs = {message.key: message.partition for message in kafka.read_all("cart-events")}
    assert ours == theirs
    assert len(set(ours.values())) == 3


def test_while_kafka_is_silent_nothing_is_taken_and_what_was_is_stored(kafka, edge):
    assert edge.view("before")[0] == HTTPStatus.OK
    kafka.pause()
    try:
        status, headers, _ = edge.view("during")
        assert (status, headers["retry-after"]) == (503, "5")
        began = time.monotonic()
        assert edge.view("known to be away")[0] == HTTPStatus.SERVICE_UNAVAILABLE
        assert time.monotonic() - began < serve.FINISH_WITHIN_S
        assert edge.ask("GET", "/readyz")[0] == HTTPStatus.SERVICE_UNAVAILABLE
        assert edge.ask("GET", "/healthz")[0] == HTTPStatus.OK
    finally:
        kafka.resume()
    wait_until(lambda: edge.view("after")[0] == HTTPStatus.OK, "Kafka", 30)
    stored = {json.loads(message.value)["id"] for message in kafka.read_all("page-views")}
    assert {"before", "after"} <= stored
    assert "known to be away" not in stored


def test_a_trigger_in_kafka_reaches_the_open_page(kafka, edge):
    visitor, signed = Visitors(SIGNING).issue("tea")
    now_ms = time.time_ns() // 1_000_000
    trigger = {
        "trigger_id": "7" * 32,
        "kind": "exit_intent",
        "class": "onsite",
        "tenant": "tea",
        "visitor": visitor,
        "session": "0" * 32,
        "step": 0,
        "cart": {"fingerprint": "0" * 32, "value_minor": 1, "currency": "EUR", "lines": []},
        "evidence": ["e1"],
        "reason": "pointer_left_top",
        "due_at_ms": now_ms,
        "expires_at_ms": now_ms + 60_000,
        "consent": {"personalization": "granted"},
    }
    kafka.produce(
        "triggers", [(visitor.encode(), json.dumps(trigger).encode(), now_ms, None, None)]
    )
    with closing(HTTPConnection(LOOPBACK, edge.port, timeout=20)) as page:
        page.request("GET", f"/v1/actions?visitor={signed}")
        answer = page.getresponse()
        lines = iter(answer.readline, b"")
        told = next(line for line in lines if line.startswith(b"data:"))
        assert answer.getheader("content-type").startswith("text/event-stream")
    del trigger["evidence"]
    assert json.loads(told.removeprefix(b"data:")) == trigger


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_ends_in_order_with_pages_waiting(edge, number, code):
    _, signed = Visitors(SIGNING).issue("tea")
    with closing(HTTPConnection(LOOPBACK, edge.port, timeout=20)) as page:
        page.request("GET", f"/v1/actions?visitor={signed}")
        answer = page.getresponse()
        assert answer.readline().strip() == b": open"
        began = time.monotonic()
        edge.program.signal(number)
        assert b"".join(iter(answer.readline, b"")).strip() == b"retry: 2000"
        assert edge.program.wait(10) == code
        assert time.monotonic() - began < serve.FINISH_WITHIN_S
    assert "Traceback" not in edge.program.output


def test_nobody_is_named_in_its_log(edge):
    edge.view("e1", "a-visitor-of-ours")
    edge.ask("POST", "/v1/events", b'[{"visitor": "a-visitor-of-ours"')
    edge.program.stop()
    assert "a-visitor-of-ours" not in edge.program.output
    assert SECRET not in edge.program.output
    assert "POST" not in edge.program.output


@pytest.mark.parametrize("missing", ["keys", "signing_keys"])
def test_without_keys_it_says_what_to_set(missing):
    known = {"keys": EDGE.keys, "signing_keys": SIGNING}
    with pytest.raises(UsageError, match=rf"edge.{missing} is empty: set it"):
        serve.run(Settings(edge=EdgeSettings(**known | {missing: ()})))


def test_an_address_in_use_is_named():
    with closing(socket.create_server((LOOPBACK, 0))) as taken:
        listen = f"{LOOPBACK}:{taken.getsockname()[1]}"
        edge = EdgeSettings(keys=EDGE.keys, signing_keys=SIGNING, listen=listen, metrics_port=0)
        with pytest.raises(CartwakeError, match=f"edge.listen: cannot listen on {listen}"):
            serve.run(Settings(edge=edge))


@pytest.mark.parametrize("head", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"])
def test_who_does_not_finish_a_request_is_hung_up_on(monkeypatch, head):
    monkeypatch.setattr(serve, "HEADERS_WITHIN_S", 0.2)
    with site() as here, closing(socket.create_connection((LOOPBACK, here.port), 5)) as client:
        client.sendall(head)
        assert client.recv(100) == b""


def test_streams_end_whole_when_the_edge_ends():
    with site() as here, closing(HTTPConnection(LOOPBACK, here.port, timeout=20)) as page:
        page.request("GET", f"/v1/actions?visitor={here.shop.signed}")
        answer = page.getresponse()
        assert answer.readline().strip() == b": open"
        here.stop()
        assert answer.read().strip() == b"retry: 2000"  # cut off, it would be incomplete


def test_who_takes_time_between_requests_is_not(monkeypatch):
    monkeypatch.setattr(serve, "HEADERS_WITHIN_S", 0.2)
    whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with site() as here, closing(socket.create_connection((LOOPBACK, here.port), 5)) as client:
        for _ in range(2):
            client.sendall(whole)
            told = b""
            while not told.endswith(b"ok\n"):
                told += client.recv(1000)
            assert told.startswith(b"HTTP/1.1 200 OK")
            time.sleep(0.4)


def answered(here, *parts):
    """Send parts of a request, and return all that is answered before the connection ends."""
    with closing(socket.create_connection((LOOPBACK, here.port), 20)) as client:
        answer = b""
        with suppress(OSError):  # it hangs up while we send
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while part := client.recv(10_000):
                answer += part
        return answer


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "head",
    [
        GET + b"A: " + b"x" * 40_000 + b"\r\n\r\n",
        GET + b"A: x\r\n" * 1_000 + b"\r\n",
        GET + b"A: x\r\n" * 2_000,
        b"GET /healthz?" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["one header", "many", "without an end", "address"],
)
def test_a_head_that_is_too_large_is_refused(head):
    with site() as here:
        assert answered(here, head).startswith(b"HTTP/1.1 431 ")
        whole = GET + b"A: " + b"x" * 30_000 + b"\r\nConnection: close\r\n\r\n"
        assert answered(here, whole).startswith(b"HTTP/1.1 200 ")


POST = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = 1024 * 1024


@pytest.mark.parametrize(
    "begin",
    [GET + b"A: ", b"GET /", POST + b"1;x=", POST + b"1\r\n[\r\n0\r\nA: "],
    ids=["header", "address", "chunk", "trailer"],
)
def test_what_has_no_end_is_not_kept(begin):
    with site() as here, closing(socket.create_connection((LOOPBACK, here.port), 20)) as client:
        client.sendall(begin)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.sendall(b"x" * 100 * MIB)


def test_requests_on_one_connection_are_each_counted_by_themselves():
    one = GET + b"A: " + b"x" * 20_000 + b"\r\n\r\n"
    with site() as here, closing(socket.create_connection((LOOPBACK, here.port), 20)) as client:
        client.sendall(one * 3)
        client.sendall(one)
        told = b""
        while told.count(b"HTTP/1.1 200 OK") < 4:
            part = client.recv(10_000)
            assert part
            told += part


def test_a_large_body_is_no_large_head():
    with site() as here:
        body = b"[" + b" " * 200_000 + b"]"
        head = b"POST /v1/events?writeKey=tea-page HTTP/1.1\r\nConnection: close\r\nOrigin: "
        head += here.origin.encode() + b"\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert answered(here, head, body).startswith(b"HTTP/1.1 200 OK")


def test_more_connections_than_it_serves_are_told_so():
    with site() as here, ExitStack() as others:
        for _ in range(MOST_CONNECTIONS):
            others.enter_context(closing(socket.create_connection((LOOPBACK, here.port), 20)))
        assert answered(here, GET + b"\r\n").startswith(b"HTTP/1.1 503 ")
