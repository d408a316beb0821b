"""Latency: event to exit trigger, and due to abandonment trigger, live and at fixed rates.

The one rule: every tenth event is an exit signal of a shopper with a full cart, at any rate; other
engines answer the same stream in their own form.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.cartwake import Cartwake, broker, drained
from bench.cpu import Reading
from bench.events import Log
from bench.peers.contestant import PARTITIONS, Contestant, contestants, require
from bench.probe import Seen, Sent, Stream, answered, now_ms
from bench.results import Run, latencies
from tests.rig.kafka import Kafka
from tests.rig.processes import Unavailable

RATE, SECONDS = 500, 20.0
EXIT_EVERY, COMES_BACK_S = 10, 4.0
OTHERS = 5_000
CARTS_PER_S, IDLE_S = 50, 2
PRODUCT = {"id": "mug", "price_minor": 500, "currency": "EUR"}
# A visitor is to fire again and again: a session ends at once, and there is next to no cooldown.
EXITING = {"session__idle_s": 1, "exit_intent__cooldown_s": 1, "holdout__fraction": 0}
IDLING = {"cart_abandonment__idle_s": IDLE_S, "holdout__fraction": 0}


def measure(run: Run, log: Log, repeats: int, folder: Path) -> None:
    """Measure ours at 500 events/s and at half of full load, then the others at 500."""
    run.source = "made up on the spot, by the clock of now"
    with broker(folder / "full") as kafka:
        log.produce(kafka)
        with Cartwake(kafka, folder, settings={"worker__clock": "records"}) as cartwake:
            full = drained(cartwake, log)["events_per_s"]
    for repeat in range(1, repeats + 1):
        for rate in (RATE, round(full / 2)):
            figures = _exits(folder / f"{repeat}-{rate}", rate)
            named = f"cartwake, {rate} events/s" if rate == RATE else "cartwake, half of full load"
            run.note(f"{named}: exit", repeat, {"rate": rate} | figures)
        figures = _abandonments(folder / f"{repeat}-idle")
        run.note(f"cartwake, {RATE} events/s: due", repeat, {"rate": RATE} | figures)
        with broker(folder / f"{repeat}-peers", PARTITIONS) as kafka:
            for name, spec in contestants().items():
                if spec.get("latency"):
                    run.note(f"{name}: exit", repeat, _tried(kafka, name, folder))


def _exits(folder: Path, rate: int) -> dict[str, float]:
    shoppers = round(rate / EXIT_EVERY * COMES_BACK_S)

    def make(number: int) -> Sent:
        turn, place = divmod(number, EXIT_EVERY)
        at_ms = now_ms()
        if place == 0:
            visitor = f"v{turn % shoppers}"
            fields = {"signal": "pointer_left_top", "dwell_ms": 5_000}
            made = event("exit_signalled", number, visitor, at_ms, fields)
            return Sent("page-views", made, f"{visitor} {at_ms}")
        # Half-way to its next signal each shopper looks at a page again: a new session.
        back = place == EXIT_EVERY // 2
        visitor = f"v{(turn + shoppers // 2) % shoppers}" if back else f"u{number % OTHERS}"
        return Sent("page-views", event("page_viewed", number, visitor, at_ms, {"url": "/home"}))

    def name(trigger: dict[str, Any]) -> str:
        return f"{trigger['visitor']} {trigger['due_at_ms']}"

    with _live_worker(folder, EXITING) as cartwake:
        return _live(cartwake, shoppers, make, name, rate)[0]


def _abandonments(folder: Path) -> dict[str, float]:
    """Let carts be abandoned while others look at pages, 500 events a second in all."""
    every = RATE // CARTS_PER_S

    def make(number: int) -> Sent:
        if number % every == 0:
            visitor = f"u{number // every}"
            return Sent("cart-events", _added(number, visitor), visitor)
        visitor = f"u{OTHERS // 2 + number % (OTHERS // 2)}"
        made = event("page_viewed", number, visitor, now_ms(), {"url": "/home"})
        return Sent("page-views", made)

    with _live_worker(folder, IDLING) as cartwake:
        figures, lag_ms = _live(cartwake, 0, make, lambda trigger: str(trigger["visitor"]), RATE)
    return figures | latencies(lag_ms)


@contextmanager
def _live_worker(folder: Path, settings: Mapping[str, object]) -> Iterator[Cartwake]:
    """Yield a worker's group with as many partitions as the others have."""
    with (
        broker(folder, PARTITIONS) as kafka,
        Cartwake(kafka, folder, PARTITIONS, settings) as cartwake,
    ):
        yield cartwake


def _live(
    cartwake: Cartwake,
    shoppers: int,
    make: Callable[[int], Sent],
    name: Callable[[dict[str, Any]], str],
    rate: int,
) -> tuple[dict[str, float], list[float]]:
    cartwake.start_workers(1, wait=True)
    stream, seen = Stream(cartwake.kafka), Seen(cartwake.kafka, "triggers", name)
    with seen.watching():
        cartwake.wait_for(stream.send_all(_prepared(shoppers)))
        first = Reading.of(cartwake.pids())
        probes = stream.pace(make, rate, SECONDS)
        last = Reading.of(cartwake.pids())
        figures = answered(seen, probes)
    return figures | {"worker_cores": _cores(first, last)}, seen.lag_ms


def _cores(first: Reading, last: Reading) -> float:
    return (last.used_s["worker"] - first.used_s["worker"]) / (last.at - first.at)


def _prepared(shoppers: int) -> Iterator[Sent]:
    """Yield everybody's consent, and a cart for each of the shoppers."""
    granted = dict.fromkeys(("personalization", "marketing_email"), "granted")
    everybody = [f"v{n}" for n in range(shoppers)] + [f"u{n}" for n in range(OTHERS)]
    for visitor in everybody:
        fields = {"purposes": granted}
        made = event("consent_updated", f"c-{visitor}", visitor, now_ms(), fields)
        yield Sent("consent-events", made)
    for number in range(shoppers):
        yield Sent("cart-events", _added(f"a-{number}", f"v{number}"))


def _added(number: object, visitor: str) -> dict[str, Any]:
    fields = {"product": PRODUCT, "quantity": 1}
    return event("product_added", number, visitor, now_ms(), fields)


def event(
    kind: str, number: object, visitor: str, at_ms: int, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return an event; ``number`` is its id among those of its kind."""
    common = {"type": kind, "id": f"{kind}-{number}", "visitor": visitor, "at_ms": at_ms}
    return common | fields


def _tried(kafka: Kafka, name: str, folder: Path) -> dict[str, Any]:
    topic = f"live-{name}"
    try:
        require(name)
        kafka.create_topics([topic], PARTITIONS)
        with Contestant(kafka, name, topic, 10**12, folder) as contestant:
            return _answers(contestant, topic)
    except (Unavailable, RuntimeError, TimeoutError) as why:
        return {"p50_ms": f"not run: {str(why).strip().splitlines()[0]}"}


def _answers(contestant: Contestant, topic: str) -> dict[str, float]:
    shoppers = round(RATE / EXIT_EVERY * COMES_BACK_S)
    item = {"sku": "mug", "qty": 1, "price": 500}

    def make(number: int) -> Sent:
        turn, place = divmod(number, EXIT_EVERY)
        if place == 0:
            made = event("exit_signal", number, f"v{turn % shoppers}", now_ms(), {})
            return Sent(topic, made, made["id"])
        return Sent(topic, event("page_view", number, f"u{number % OTHERS}", now_ms(), {}))

    stream = Stream(contestant.kafka)
    seen = Seen(contestant.kafka, contestant.output, lambda trigger: trigger.get("cause") or "")
    with seen.watching():
        for visitor in (f"v{number}" for number in range(shoppers)):
            consent = event("consent", visitor, visitor, now_ms(), {"granted": True})
            added = event("cart_add", visitor, visitor, now_ms(), {"items": [item]})
            stream.send_all((Sent(topic, consent), Sent(topic, added)))
        first = contestant.mark("first", 120)
        probes = stream.pace(make, RATE, SECONDS)
        last = contestant.reading()
        figures = {"rate": RATE} | answered(seen, probes)
    return figures | {"worker_cores": _cores(first, last)}
