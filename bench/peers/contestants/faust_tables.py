"""Faust with its own Tables: changelog and an in-memory dict. Timers: a heap per partition in memory, worked
off inside the agent (a table may only be changed there); it is not rebuilt after a restart (Faust has no timer store).
"""

import heapq
import os

import cart
import faust
from cart import GAP, Progress

E = os.environ
app = faust.App(
    E["BENCH_APP"],
    broker="kafka://" + E["BENCH_BOOTSTRAP"],
    store="memory://",
    datadir=E["BENCH_STATE"],
    web_enabled=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    topic_partitions=4,
)


class Event(faust.Record, serializer="json"):
    id: str
    type: str
    visitor: str
    at_ms: int
    name: str = None
    url: str = None
    device: str = None
    country: str = None
    channel: str = None
    granted: bool = None
    items: list = None


events = app.topic(E["BENCH_INPUT"], value_type=Event, key_type=str, key_serializer="raw")
triggers = app.topic(E["BENCH_OUTPUT"], key_type=str, key_serializer="raw", value_serializer="json")
table = app.Table("sessions", partitions=4, key_type=str, value_type=None)
stream_time, heaps = {}, {}
pg = Progress(int(E["BENCH_TOTAL"]))


async def emit(t):
    await triggers.send(key=t["visitor"], value=t)


@app.agent(events)
async def handle(stream):
    async for ev in stream.events():
        e, p = ev.value, ev.message.partition
        v, t = e.visitor, e.at_ms
        now = stream_time.get(p, 0)
        if t > now:
            now = stream_time[p] = t
        h = heaps.setdefault(p, [])
        while h and h[0][0] < now:
            due, who = heapq.heappop(h)
            s = table.get(who)
            if s is not None and s.get("timer") == due:
                if s["last"] + GAP < now:
                    tr = cart.close(who, s)
                    if tr:
                        await emit(tr)
                    s["timer"] = 0
                    table[who] = s
                else:
                    s["timer"] = s["last"] + GAP
                    heapq.heappush(h, (s["timer"], who))
                    table[who] = s
        s = table.get(v)
        if s is None:
            s = cart.new(t)
            s["timer"] = 0
        cart.apply(s, {"type": e.type, "at_ms": t, "items": e.items, "granted": e.granted})
        if not s["timer"]:
            s["timer"] = t + GAP
            heapq.heappush(h, (t + GAP, v))
        table[v] = s
        if e.type == "exit_signal":
            tr = cart.immediate(v, s, {"type": e.type, "id": e.id})
            if tr:
                await emit(tr)
        pg.add()


if __name__ == "__main__":
    import sys

    sys.argv = ["faust_tables", "worker", "-l", "warn", "--without-web"]
    app.main()
