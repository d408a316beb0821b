"""One visitor who floods the shard: bounded, and nothing to the others."""

from stream.domain.cart import MAX_CART_BYTES
from stream.domain.visitor import VisitorKey
from tests.adapters.wire.test_bounded import MAX_STATE_BYTES
from tests.scenarios.world import MINUTE, T0, World, added, consented, event, leaving, merged

FLOOD = 10_000
OTHERS = [f"shopper-{number}" for number in range(20)]


def others():
    """Return what the others do: consent, fill carts, and some show that they leave."""
    for number, who in enumerate(OTHERS):
        yield consented(T0, who)
        yield added(T0 + (1 + number) * MINUTE, who)
        if number % 2:
            yield leaving(T0 + (2 + number) * MINUTE, who)


def flood():
    """Return one visitor's ten thousand events, whose products are too long for one cart."""
    yield consented(T0, "bot")
    for number in range(FLOOD):
        product = {"id": f"p{number % 80}", "name": f"{number:04}" * 1_000}
        at_ms = T0 + MINUTE + number * 100
        yield event("product_added", at_ms, "bot", id=f"e{number}", product=product, quantity=1)


async def decided(*events):
    """Return worker and world after all of it was read in one batch, and time has passed."""
    world = World(*merged(events))
    world.now_ms = T0 + 60 * MINUTE
    worker = await world.worker(live=False)
    reports = await worker.run()
    assert len(reports) == 1, "it was one batch"
    for minute in range(61, 120):
        world.log.write(event("page_viewed", T0 + minute * MINUTE, "clock", url="/"))
    reports += await worker.run()
    return world, reports


def of_others(world):
    return [
        one
        for topic in ("triggers", "decisions")
        for one in world.published(topic)
        if one["visitor"] != "bot"
    ]


async def test_ten_thousand_events_of_one_visitor_change_nothing_for_the_others():
    calm, _ = await decided(*others())
    flooded, reports = await decided(*others(), *flood())
    assert of_others(flooded) == of_others(calm)
    assert {one["visitor"] for one in of_others(calm)} == set(OTHERS)
    applied = sum(report.events["cart-events", "product_added", "applied"] for report in reports)
    assert applied == FLOOD + len(OTHERS)
    kept = flooded.store._shards[0].states[VisitorKey("default", "bot")]
    assert MAX_CART_BYTES / 2 < len(kept) <= MAX_STATE_BYTES
