"""Streams as a server calls them: many requests in one tick of the event loop."""

import asyncio

from stream.edge.visitors import Visitors
from tests.edge.shop import EDGE, SIGNING, Shop

OPEN_AT_ONCE, MOST = 30, 10


def scope(signed):
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/v1/actions",
        "raw_path": b"/v1/actions",
        "query_string": b"visitor=" + signed.encode(),
        "headers": [],
        "client": ("192.0.2.1", 1),
        "server": ("edge.example", 80),
        "scheme": "http",
        "root_path": "",
    }


async def opened(shop, gone, *, sends=True):
    """Open a stream, wait until its page has gone, and return the answer's status."""
    statuses = []

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if not sends:
            raise OSError
        statuses.append(message.get("status"))

    await shop.app(scope(Visitors(SIGNING).issue("tea")[1]), receive, send)
    return statuses[0]


async def test_of_many_streams_that_open_at_once_no_more_than_fit_are_given_a_place():
    shop = Shop(EDGE.model_copy(update={"max_streams": MOST}))
    gone = asyncio.Event()
    streams = [asyncio.create_task(opened(shop, gone)) for _ in range(OPEN_AT_ONCE)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert shop.count("streams") == MOST
    gone.set()
    statuses = await asyncio.gather(*streams)
    assert (statuses.count(200), statuses.count(503)) == (MOST, OPEN_AT_ONCE - MOST)
    assert shop.count("streams") == 0


async def test_a_page_that_has_gone_before_the_first_event_gives_its_place_back():
    shop = Shop()
    stream = opened(shop, asyncio.Event(), sends=False)
    (failed,) = await asyncio.gather(stream, return_exceptions=True)
    assert isinstance(failed, Exception)
    assert shop.count("streams") == 0
