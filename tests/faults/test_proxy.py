"""The proxy: it carries, and it breaks what it is told to and nothing else."""

import contextlib
import socket
import struct
import threading

import pytest

from tests.faults.proxy import Proxy
from tests.rig.processes import LOOPBACK

PRODUCE, FETCH = 0, 1


@pytest.fixture
def echo():
    """Return the port of a server that answers whatever comes with the same."""
    server = socket.create_server((LOOPBACK, 0))

    def serve(client):
        with client, contextlib.suppress(OSError):
            while chunk := client.recv(65_536):
                client.sendall(chunk)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


@pytest.fixture
def proxy(echo):
    with Proxy(echo) as proxy:
        yield proxy


@pytest.fixture
def connect(proxy):
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection((LOOPBACK, proxy.port), 5))


def answer(client, sent):
    client.sendall(sent)
    got = b""
    while len(got) < len(sent):
        chunk = client.recv(65_536)
        if not chunk:
            raise ConnectionResetError
        got += chunk
    return got


def frame(kind, correlation, size=20):
    """Return a request as Kafka frames it; the echo makes an answer of its other half."""
    # An answer begins with the correlation id: here the echo's kind and version stand there.
    head = struct.pack(">hhi", kind, 0, correlation)
    return struct.pack(">i", size) + head.ljust(size, b"x")


def test_bytes_of_any_size_pass_in_both_directions(connect):
    client = connect()
    for sent in (b"a", b"b" * 1_000_000, frame(PRODUCE, 1)):
        assert answer(client, sent) == sent


def test_a_cut_resets_every_connection_and_new_ones_work(proxy, connect):
    clients = [connect(), connect()]
    for client in clients:
        assert answer(client, b"hello") == b"hello"
    proxy.cut()
    for client in clients:
        with pytest.raises(ConnectionResetError):
            answer(client, b"again")
    assert answer(connect(), b"new") == b"new"


def test_a_refusing_proxy_resets_new_connections_until_it_is_healed(proxy, connect):
    proxy.cut(refuse=True)
    with pytest.raises(ConnectionResetError):
        answer(connect(), b"hello")
    proxy.heal()
    assert answer(connect(), b"hello") == b"hello"


def test_what_a_black_hole_took_arrives_when_it_is_healed(proxy, connect):
    client = connect()
    assert answer(client, b"before") == b"before"
    proxy.blackhole()
    client.sendall(b"during")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(10)
    proxy.heal()
    client.settimeout(5)
    assert client.recv(10) == b"during"


def test_a_lost_answer_resets_its_connection(proxy, connect):
    client, other = connect(), connect()
    proxy.lose_answers(iter([True, False, False]).__next__)
    with pytest.raises(ConnectionResetError):
        answer(client, b"hello")
    assert proxy.lost == 1
    assert answer(other, b"hello") == b"hello"


def test_of_kafkas_answers_those_to_produce_requests_alone_are_lost(proxy, connect):
    proxy.lose_answers(lambda: True, only_produced=True)
    client = connect()
    fetching = frame(FETCH, 7)
    assert answer(client, fetching) == fetching
    # The echo answers with the request, whose first four bytes are then the correlation id.
    producing = frame(PRODUCE, 0)
    client.sendall(producing[:7])  # however it is cut
    with pytest.raises(ConnectionResetError):
        answer(client, producing[7:] + producing)
    assert proxy.lost == 1
