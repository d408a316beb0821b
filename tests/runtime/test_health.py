import json
import socket
from http.client import HTTPConnection

import pytest
from prometheus_client import CollectorRegistry, Counter

from stream.errors import CartwakeError
from stream.runtime.health import HealthPage, Where

LOOPBACK = "127.0.0.1"


class Worker:
    """A worker whose checks answer as a test wishes."""

    def __init__(self):
        self.alive = (True, [])
        self.ready = (True, [])


@pytest.fixture
def worker():
    return Worker()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def page(worker, registry):
    with HealthPage(
        registry,
        Where("worker.metrics", LOOPBACK, 0),
        alive=lambda: worker.alive,
        ready=lambda: worker.ready,
    ) as page:
        yield page


def ask(page, path, method="GET", **headers):
    connection = HTTPConnection(LOOPBACK, page.port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def raw(page, request: bytes) -> bytes:
    with socket.create_connection((LOOPBACK, page.port), timeout=10) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize("path", ["/metrics", "/", "/metrics?now"])
def test_metrics_are_shown_as_they_stand(path, page, registry):
    Counter("seen", "help", registry=registry).inc(3)
    status, headers, body = ask(page, path)
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert b"seen_total 3.0\n" in body


def test_metrics_come_in_the_format_that_is_asked_for(page):
    _, headers, body = ask(page, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize(("path", "check"), [("/healthz", "alive"), ("/readyz", "ready")])
def test_a_check_answers_200_or_503_with_its_reasons(path, check, page, worker):
    assert ask(page, path)[0] == 200
    setattr(worker, check, (False, ["Redis at localhost:6379 does not answer"]))
    status, headers, body = ask(page, path)
    assert (status, headers["Content-Type"]) == (503, "application/json")
    assert json.loads(body) == {
        "ok": False,
        "reasons": ["Redis at localhost:6379 does not answer"],
    }


def test_alive_is_not_ready(page, worker):
    worker.ready = (False, ["owns no shard"])
    assert (ask(page, "/healthz")[0], ask(page, "/readyz")[0]) == (200, 503)


def test_a_check_that_fails_itself_is_a_no(registry):
    def broken():
        raise LookupError("secret")

    with HealthPage(
        registry, Where("worker.metrics", LOOPBACK, 0), alive=broken, ready=broken
    ) as page:
        status, _, body = ask(page, "/healthz")
    assert status == 503
    assert json.loads(body)["reasons"] == ["the check itself failed: LookupError"]


@pytest.mark.parametrize("path", ["/nothing", "/healthz/", "//[", "/../etc/passwd"])
def test_other_pages_do_not_exist(path, page):
    assert ask(page, path)[0] == 404


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/nothing"])
def test_head_is_get_without_the_body(path, page):
    status, headers, body = ask(page, path)
    # By hand, since a client of HTTP would not read a body here.
    first, *rest = raw(page, f"HEAD {path} HTTP/1.0\r\n\r\n".encode()).split(b"\r\n")
    assert first.split()[1] == str(status).encode()
    assert f"Content-Length: {len(body)}".encode() in rest
    assert rest[-2:] == [b"", b""]
    assert headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_nothing_can_be_done_but_looking(method, page):
    status, headers, _ = ask(page, "/healthz", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"complete nonsense here\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_no_answer_says_which_software_this_is(request_bytes, page):
    answer = raw(page, request_bytes)
    assert answer
    assert b"Server:" not in answer
    assert b"Python" not in answer


def test_nothing_is_logged(page, capfd):
    ask(page, "/healthz")
    ask(page, "/nothing")
    raw(page, b"nonsense\r\n\r\n")
    raw(page, b"")
    assert capfd.readouterr() == ("", "")


def test_a_defect_is_not_hidden(registry, capfd):
    class Broken:
        def collect(self):
            raise LookupError("a collector's defect")

    with HealthPage(registry, Where("worker.metrics", LOOPBACK, 0), alive=dict, ready=dict) as page:
        registry.register(type("Late", (), {"collect": Broken.collect, "describe": list})())
        assert raw(page, b"GET /metrics HTTP/1.0\r\n\r\n") == b""
    assert "a collector's defect" in capfd.readouterr().err


def test_a_port_in_use_is_said_with_its_setting(page, registry):
    with pytest.raises(CartwakeError) as refused:
        HealthPage(registry, Where("worker.metrics", LOOPBACK, page.port), alive=dict, ready=dict)
    assert str(refused.value).startswith(f"worker.metrics_port: {page.port} on 127.0.0.1 is in use")
    assert refused.value.exit_code == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "::g"])
def test_a_host_that_is_not_ours_is_said_with_its_setting(host, registry):
    with pytest.raises(CartwakeError, match=rf"^worker\.metrics_host: cannot listen on {host} "):
        HealthPage(registry, Where("worker.metrics", host, 0), alive=dict, ready=dict)


def test_a_port_that_needs_rights_is_said_with_its_setting(registry, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socketserver.TCPServer.server_bind", refuse)
    with pytest.raises(CartwakeError, match=r"^worker\.metrics_port: .* Permission denied$"):
        HealthPage(registry, Where("worker.metrics", LOOPBACK, 80), alive=dict, ready=dict)


def test_a_closed_page_frees_its_port(registry):
    with HealthPage(registry, Where("worker.metrics", LOOPBACK, 0), alive=dict, ready=dict) as page:
        port = page.port
    with HealthPage(
        registry, Where("worker.metrics", LOOPBACK, port), alive=dict, ready=dict
    ) as again:
        assert again.port == port
