"""Quix Streams, its own session window (closing by partition watermark), Reduce with a merger.
Consent outlives sessions, so a stateful step before the window attaches it to every event.
Note: the window closes at last event + 2 * gap (its rule for late events), not at + gap."""

import os

import cart
from cart import GAP, Progress
from quixstreams import Application

E = os.environ
app = Application(
    broker_address=E["BENCH_BOOTSTRAP"],
    consumer_group=E["BENCH_APP"],
    auto_offset_reset="earliest",
    state_dir=E["BENCH_STATE"],
    processing_guarantee="at-least-once",
    loglevel="WARNING",
)
events = app.topic(E["BENCH_INPUT"], key_deserializer="str", value_deserializer="json")
triggers = app.topic(E["BENCH_OUTPUT"], key_serializer="str", value_serializer="json")
pg = Progress(int(E["BENCH_TOTAL"]))


def with_consent(e, state):
    if e["type"] == "consent":
        state.set("consent", e["granted"])
        e["consent"] = e["granted"]
    else:
        e["consent"] = state.get("consent")
    return e


def first(e):
    s = cart.new(e["at_ms"])
    s["visitor"] = e["visitor"]
    return step(s, e)


def step(s, e):
    cart.apply(s, e)
    s["consent"] = e["consent"]
    return s


def merge(a, b):  # only for late events; there are none in this job
    for k, (q, p) in a["cart"].items():
        old = b["cart"].get(k)
        b["cart"][k] = [q + (old[0] if old else 0), old[1] if old else p]
    b["purchased"] |= a["purchased"]
    return b


def count(x):
    pg.add()
    return x


sdf = app.dataframe(events)
sdf = sdf.apply(with_consent, stateful=True)
out = sdf.session_window(GAP).reduce(step, first, merge).final(closing_strategy="partition")
out = out.apply(lambda w: cart.close(w["value"]["visitor"], w["value"])).filter(
    lambda t: t is not None
)
out.to_topic(triggers, key=lambda t: t["visitor"])
sdf.update(count)  # second branch, after the window branch
app.run()
