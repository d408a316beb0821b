import asyncio
import gzip
import json

import pytest
from starlette.requests import Request

from stream.edge import requests
from stream.edge.answers import RequestRefused
from stream.edge.requests import (
    MAX_BODY_BYTES,
    MAX_COOKIES,
    basic_user,
    body_of,
    cookies_of,
    json_of,
)


def request(*parts, headers=(), then_wait=False):
    messages = [
        {"type": "http.request", "body": part, "more_body": then_wait or number < len(parts)}
        for number, part in enumerate(parts, 1)
    ]

    async def receive():
        if not messages:
            await asyncio.sleep(60)
        return messages.pop(0)

    return Request({"type": "http", "method": "POST", "headers": list(headers)}, receive)


GZIP = [(b"content-encoding", b"gzip")]


async def test_a_body_comes_in_parts():
    assert await body_of(request(b"[1,", b"2]")) == b"[1,2]"


async def test_a_packed_body_is_unpacked():
    assert await body_of(request(gzip.compress(b"[1]"), headers=GZIP)) == b"[1]"


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"x" * (MAX_BODY_BYTES + 1), [], "too_large"),
        (gzip.compress(b"x" * 50_000_000), GZIP, "too_large"),
        (b"[1]", GZIP, "malformed"),
        (gzip.compress(b"[1]")[:-4], GZIP, "malformed"),
        (gzip.compress(b"[1]") * 2, GZIP, "malformed"),
        (gzip.compress(b"[1]") + b" ", GZIP, "malformed"),
        (b"[1]", [(b"content-encoding", b"br")], "malformed"),
    ],
)
async def test_a_body_that_cannot_be_taken_is_refused(body, headers, reason):
    with pytest.raises(RequestRefused) as refused:
        await body_of(request(body, headers=headers))
    assert refused.value.reason == reason


async def test_a_body_that_does_not_end_is_refused(monkeypatch):
    monkeypatch.setattr(requests, "BODY_WITHIN_S", 0.02)
    with pytest.raises(RequestRefused) as refused:
        await body_of(request(b"[", then_wait=True))
    assert (refused.value.status, refused.value.reason) == (408, "too_slow")


def test_a_refused_body_is_not_repeated():
    with pytest.raises(RequestRefused) as refused:
        json_of(json.dumps("secret@shop.example").encode()[:-1])
    assert "secret" not in f"{refused.value.reason} {refused.value.detail}"


@pytest.mark.parametrize(
    ("header", "user"),
    [(b"Basic a2V5Og==", "key"), (b"basic a2V5OnB3", "key"), (b"Bearer abc", None), (b"", None)],
)
def test_the_key_is_the_user_of_basic_authentication(header, user):
    assert basic_user(request(headers=[(b"authorization", header)])) == user


@pytest.mark.parametrize("header", [b"Basic %%%", b"Basic /w=="])
def test_an_unreadable_authorization_is_no_key(header):
    with pytest.raises(RequestRefused) as refused:
        basic_user(request(headers=[(b"authorization", header)]))
    assert refused.value.status == 401


@pytest.mark.parametrize(
    ("cookies", "values"),
    [
        ((), []),
        ((b"v=1.x",), ["1.x"]),
        ((b"a=b; v=1.x;v = 2.y ; vv=3",), ["1.x", "2.y"]),
        ((b"v=1.x", b"v=2.y"), ["1.x", "2.y"]),
        ((b'v="1.x"; v=; v; =v',), ["1.x"]),
        ((b'a="' + b"\\" * 30_000 + b'"; v=1.x',), ["1.x"]),
        ((b"v=x;" * 10_000,), ["x"] * MAX_COOKIES),
        ((b";" * 30_000 + b"\xff=\xff; v=1.x",), ["1.x"]),
    ],
)
def test_one_cookie_is_read_and_the_others_are_left_alone(monkeypatch, cookies, values):
    monkeypatch.setattr("http.cookies._unquote", lambda _: pytest.fail("takes quadratic time"))
    given = request(headers=[(b"cookie", one) for one in cookies])
    assert cookies_of(given, "v") == values
