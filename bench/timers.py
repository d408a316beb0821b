"""Timers: how late abandonment triggers are when a minute's worth is due, among many others armed.

The one rule: lag is from the due moment to the trigger as a consumer sees it, by one wall clock.
"""

from collections.abc import Iterator
from pathlib import Path

from bench.cartwake import Cartwake, broker
from bench.cpu import Reading
from bench.events import Log
from bench.growth import sizes
from bench.latency import event
from bench.probe import Seen, Sent, Stream, now_ms
from bench.results import Run, latencies
from tests.rig.processes import wait_until

ARMED = (10_000, 100_000, 1_000_000)
DUE, WITHIN_S = 100_000, 60
# Time to load what is due, before the first of it is.
AHEAD_S_PER_EVENT, AHEAD_S = 0.0005, 10
IDLE_S = 7_200
SETTINGS = {"cart_abandonment__idle_s": IDLE_S, "holdout__fraction": 0}
FIRED_AFTER_S = 300.0
GRANTED = dict.fromkeys(("personalization", "marketing_email"), "granted")
PRODUCT = {"id": "mug", "price_minor": 500, "currency": "EUR"}


def measure(run: Run, log: Log, repeats: int, folder: Path) -> None:
    """Arm more and more timers; the largest number once."""
    run.source = "one cart for each timer"
    due = min(DUE, log.events)
    for repeat, armed in sizes(ARMED, log, repeats):
        with (
            broker(folder / f"{repeat}-{armed}") as kafka,
            Cartwake(kafka, folder, settings=SETTINGS) as cartwake,
        ):
            run.note(f"{armed:,} armed", repeat, fire_lag(cartwake, armed, due))


def fire_lag(cartwake: Cartwake, armed: int, due: int) -> dict[str, float]:
    """Arm timers, let others fall due within a minute, and return how late their triggers are."""
    cartwake.start_workers(1, wait=True)
    stream = Stream(cartwake.kafka)
    seen = Seen(cartwake.kafka, "triggers", lambda trigger: str(trigger["visitor"]))
    began = Reading.of(cartwake.pids())
    loaded = stream.send_all(_consents("armed", armed))
    loaded += stream.send_all(_carts("armed", armed, now_ms(), 0))
    loaded += stream.send_all(_consents("due", due))
    cartwake.wait_for(loaded)
    took = Reading.of(cartwake.pids())
    ahead_ms = round((AHEAD_S + AHEAD_S_PER_EVENT * due) * 1000)
    first_ms = now_ms() + ahead_ms - IDLE_S * 1000
    with seen.watching():
        loaded += stream.send_all(_carts("due", due, first_ms, WITHIN_S * 1000 / due))
        wait_until(lambda: cartwake.reached().folded >= loaded, "carts", ahead_ms / 1000)
        within_s = ahead_ms / 1000 + WITHIN_S + FIRED_AFTER_S
        wait_until(lambda: len(seen.at) >= due, f"{due} triggers", within_s)
    return {"due": due, "armed_per_s": armed / (took.at - began.at)} | latencies(seen.lag_ms)


def _consents(name: str, count: int) -> Iterator[Sent]:
    # Older than the carts, whose time is in the past.
    fields, since_ms = {"purposes": GRANTED}, now_ms() - 2 * IDLE_S * 1000
    for number in range(count):
        visitor = f"{name}-{number}"
        yield Sent("consent-events", event("consent_updated", visitor, visitor, since_ms, fields))


def _carts(name: str, count: int, first_ms: int, every_ms: float) -> Iterator[Sent]:
    """Yield a cart for each; a cart is due ``IDLE_S`` after its own time."""
    fields = {"product": PRODUCT, "quantity": 1}
    for number in range(count):
        visitor, at_ms = f"{name}-{number}", first_ms + round(number * every_ms)
        yield Sent("cart-events", event("product_added", visitor, visitor, at_ms, fields))
