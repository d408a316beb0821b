"""Records as a worker publishes them, and its metrics page, for the demo's tests."""

from stream.adapters.wire.outgoing import outgoing
from stream.demo.embedded import ReadRecord
from stream.domain.events import Line, Product
from stream.domain.records import CartSnapshot, Decision, Effect, Score, Trigger, TriggerCancel
from stream.shard.ports import DeadLetter

DUE_MS = 1_790_000_000_123
TEAPOT = Product(id="clay-teapot", name="Clay Teapot", price_minor=4900, currency="EUR")


def trigger(number: int = 1, *, score: float | None = 0.314) -> Trigger:
    return Trigger(
        trigger_id=f"t{number}",
        kind="cart_abandonment",
        class_="marketing",
        tenant="tea-house",
        visitor="visitor-1",
        session="s1",
        step=0,
        cart=CartSnapshot("f1", 9800, "EUR", [Line(TEAPOT, 2)]),
        evidence=["e1"],
        reason="cart_idle",
        score=None if score is None else Score("purchase_after_add", 3, score),
        due_at_ms=DUE_MS,
        expires_at_ms=DUE_MS + 1,
        consent={"personalization": "granted"},
    )


def decision(number: int = 1, *, kind="cart_abandonment", reason="fired") -> Decision:
    return Decision(
        decision_id=f"d{number}",
        kind=kind,
        tenant="tea-house",
        visitor="visitor-1",
        outcome="fired" if reason == "fired" else "skipped",
        reason=reason,
        at_ms=DUE_MS,
    )


def cancel(number: int = 1) -> TriggerCancel:
    return TriggerCancel(
        trigger_id=f"t{number}",
        kind="cart_abandonment",
        tenant="tea-house",
        visitor="visitor-1",
        reason="consent_refused",
        at_ms=DUE_MS,
    )


def message(effect: Effect | DeadLetter, *, late_ms: int = 40) -> ReadRecord:
    """Return what the worker would publish for it, decided ``late_ms`` after it was due."""
    entry = outgoing(effect, DUE_MS + late_ms, "/cartwake/cartwake")
    return ReadRecord(entry.topic, entry.value, dict(entry.headers))


def page(armed: int = 5, **outcomes: int) -> str:
    lines = [
        f'cartwake_events_total{{topic="page-views",type="page_viewed",outcome="{outcome}"}} {n}.0'
        for outcome, n in outcomes.items()
    ]
    return "\n".join(
        [
            "# TYPE cartwake_events_total counter",
            *lines,
            'cartwake_events_total{topic="training-examples",type="example",outcome="applied"} 9.0',
            "# TYPE cartwake_timers_armed gauge",
            f"cartwake_timers_armed {armed}.0",
            "",
        ]
    )
