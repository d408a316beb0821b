import asyncio
from contextlib import aclosing

import pytest
from prometheus_client import CollectorRegistry

from stream.config.settings import EdgeSettings
from stream.edge.gateway.hub import MOST_UNREAD, STREAMS_PER_VISITOR, Action, Cancel, Hub
from stream.edge.metrics import EdgeMetrics
from stream.edge.visitors import VerifiedVisitor
from tests.edge.shop import NOW_MS

ANNA, BERT = VerifiedVisitor("tea", "anna"), VerifiedVisitor("tea", "bert")


class Clock:
    def __init__(self):
        self.now_ms = NOW_MS

    def __call__(self):
        return self.now_ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def hub(clock, registry):
    return Hub(EdgeSettings(max_streams=5), EdgeMetrics(registry), clock)


def action(name="t1", whose=ANNA, lives_ms=10_000):
    return Action(name, whose, NOW_MS + lives_ms, {"trigger_id": name})


async def heard(hub, whose, count, after=None):
    """Return the first so many that a page gets, and how many streams there were meanwhile."""
    got = []
    async with aclosing(hub.listen(whose, after)) as stream:
        async for what in stream:
            got.append(what)
            if len(got) == count:
                break
    return got


async def listening(hub, whose, count, after=None):
    task = asyncio.create_task(heard(hub, whose, count, after))
    await asyncio.sleep(0)
    return task


async def test_an_action_reaches_its_visitors_pages_and_no_others(hub):
    anna, other_tab = await listening(hub, ANNA, 1), await listening(hub, ANNA, 1)
    bert = await listening(hub, BERT, 1)
    hub.publish(action())
    assert await anna == await other_tab == [action()]
    assert not bert.done()
    hub.publish(action("t2", BERT))
    assert await bert == [action("t2", BERT)]


async def test_the_same_visitor_of_another_shop_hears_nothing(hub):
    hub.publish(action(whose=VerifiedVisitor("bike", "anna")))
    assert hub.pending(ANNA) == []


async def test_a_published_trigger_is_given_once_however_often_it_comes(hub):
    anna = await listening(hub, ANNA, 2)
    for name in ("t1", "t1", "t2"):
        hub.publish(action(name))
    assert [one.trigger_id for one in await anna] == ["t1", "t2"]


async def test_a_page_that_comes_back_gets_what_it_missed(hub):
    for name in ("t1", "t2", "t3"):
        hub.publish(action(name))
    assert [one.trigger_id for one in await heard(hub, ANNA, 2, after="t1")] == ["t2", "t3"]


async def test_a_page_that_names_what_is_forgotten_gets_all_that_is_pending(hub):
    hub.publish(action())
    assert await heard(hub, ANNA, 1, after="long ago") == [action()]


async def test_an_expired_action_is_given_to_nobody(hub, clock, registry):
    hub.publish(action())
    clock.now_ms += 10_001
    assert hub.pending(ANNA) == []
    hub.publish(action("t2"))
    assert hub.pending(ANNA) == []
    got = registry.get_sample_value("cartwake_edge_actions_total", {"outcome": "expired"})
    assert got == 1


async def test_a_cancelled_action_is_taken_back(hub):
    anna = await listening(hub, ANNA, 2)
    hub.publish(action())
    hub.cancel(ANNA, "t1")
    assert await anna == [action(), Cancel("t1")]
    assert hub.pending(ANNA) == []
    assert hub.cancelled(ANNA) == ["t1"]


async def test_a_cancel_that_is_read_before_its_trigger_prevents_it(hub):
    hub.cancel(ANNA, "t1")
    anna = await listening(hub, ANNA, 1)
    hub.publish(action())
    assert hub.pending(ANNA) == []
    hub.publish(action("t2"))
    assert await anna == [action("t2")]


async def test_nothing_is_kept_of_what_has_expired(hub, clock):
    for number in range(1_000):
        hub.publish(action(f"t{number}", VerifiedVisitor("tea", f"v{number}")))
    clock.now_ms += 10_001
    hub.publish(action("last", lives_ms=30_000))
    assert list(hub._recent) == [ANNA]
    assert len(hub._order) == 1


async def test_nothing_is_kept_of_a_page_that_has_gone(hub):
    anna = await listening(hub, ANNA, 1)
    anna.cancel()
    await asyncio.wait({anna})
    assert hub._streams == {}


async def test_a_page_that_does_not_read_loses_the_oldest(hub):
    stream = hub.listen(ANNA, None)
    hub.publish(action("first"))
    assert (await anext(stream)).trigger_id == "first"
    for number in range(MOST_UNREAD + 5):
        hub.publish(action(f"t{number}"))
    assert (await anext(stream)).trigger_id == "t5"
    await stream.aclose()


def reserved(hub, visitors, addresses):
    return [hub.reserve(*both) for both in zip(visitors, addresses, strict=True)]


SHOPPERS = [VerifiedVisitor("tea", f"v{number}") for number in range(STREAMS_PER_VISITOR + 2)]
PLACES = [f"203.0.113.{number}" for number in range(STREAMS_PER_VISITOR + 2)]


@pytest.mark.parametrize(
    ("limits", "visitors", "addresses", "most"),
    [
        ({"max_streams": 5}, SHOPPERS, PLACES, 5),
        ({"max_streams_per_address": 3}, SHOPPERS, PLACES[:1] * len(SHOPPERS), 3),
        ({}, [ANNA] * len(PLACES), PLACES, STREAMS_PER_VISITOR),
    ],
)
def test_there_are_so_many_places_and_no_more(clock, registry, limits, visitors, addresses, most):
    hub = Hub(EdgeSettings(**limits), EdgeMetrics(registry), clock)
    given = reserved(hub, visitors, addresses)
    assert given == [True] * most + [False] * (len(visitors) - most)
    assert registry.get_sample_value("cartwake_edge_streams") == most
    hub.release(visitors[0], addresses[0])
    assert reserved(hub, visitors[-2:], addresses[-2:]) == [True, False]
    for both in zip(visitors[1:most], addresses[1:most], strict=True):
        hub.release(*both)
    hub.release(visitors[-2], addresses[-2])
    assert registry.get_sample_value("cartwake_edge_streams") == 0
    assert not hub._places


def test_one_visitor_or_address_cannot_take_all_places(clock, registry):
    edge = EdgeSettings(max_streams=100, max_streams_per_address=3)
    hub = Hub(edge, EdgeMetrics(registry), clock)
    reserved(hub, SHOPPERS, PLACES[:1] * len(SHOPPERS))
    reserved(hub, [ANNA] * len(PLACES), PLACES)
    assert hub.reserve(BERT, "192.0.2.1")


async def test_a_hub_that_closes_ends_its_streams(hub):
    anna = await listening(hub, ANNA, 9)
    hub.close()
    assert await anna == []
    assert not hub.reserve(ANNA, "192.0.2.1")
