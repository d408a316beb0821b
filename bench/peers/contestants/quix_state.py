"""Quix Streams, one stateful step per event (session JSON in its RocksDB + changelog) and timers as
people emulate them: a heap in process memory, worked off on every event (state of another key cannot
be reached). Fires at + gap. The heap is lost on a restart; so is a trigger due for a silent visitor."""

import heapq
import os

import cart
from cart import GAP, Progress
from quixstreams import Application, message_context

E = os.environ
app = Application(
    broker_address=E["BENCH_BOOTSTRAP"],
    consumer_group=E["BENCH_APP"],
    auto_offset_reset="earliest",
    state_dir=E["BENCH_STATE"],
    processing_guarantee="at-least-once",
    loglevel="WARNING",
    producer_extra_config={"linger.ms": int(E["QUIX_LINGER"])} if "QUIX_LINGER" in E else None,
)
events = app.topic(E["BENCH_INPUT"], key_deserializer="str", value_deserializer="json")
triggers = app.topic(E["BENCH_OUTPUT"], key_serializer="str", value_serializer="json")
pg = Progress(int(E["BENCH_TOTAL"]))
stream_time, heaps, pending = {}, {}, {}


def handle(e, state):
    out = []
    p, v, t = message_context().partition, e["visitor"], e["at_ms"]
    now = stream_time.get(p, 0)
    if t > now:
        now = stream_time[p] = t
    h = heaps.setdefault(p, [])
    while h and h[0][0] < now:
        due, who = heapq.heappop(h)
        s = pending.get(who)
        if s is None:
            continue
        if s["last"] + GAP < now:
            tr = cart.close(who, dict(s))
            if tr:
                out.append(tr)
            del pending[who]
        else:
            heapq.heappush(h, (s["last"] + GAP, who))
    s = state.get("s")
    if s is None:
        s = cart.new(t)
    elif t - s["last"] > GAP:
        cart.close(v, s)  # its trigger, if any, came from the heap
    cart.apply(s, e)
    state.set("s", s)
    if s["cart"]:
        if v not in pending:
            heapq.heappush(h, (t + GAP, v))
        pending[v] = s
    elif v in pending:
        pending[v] = s
    if e["type"] == "exit_signal":
        tr = cart.immediate(v, s, e)
        if tr:
            out.append(tr)
    pg.add()
    return out


sdf = app.dataframe(events)
sdf = sdf.apply(handle, stateful=True, expand=True)
sdf.to_topic(triggers, key=lambda t: t["visitor"])
app.run()
