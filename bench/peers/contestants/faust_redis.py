"""Faust + Redis, as a competent user writes it from the two manuals.

One typed Record per event; per event one GET, then one pipeline SET + ZADD (JSON state, deadline by
event time in one ZSET per partition). A one-second app.timer takes due visitors off the ZSET.
FAUST_BATCH=1: stream.take(500, within=0.05), one MGET and one pipeline per batch instead.
"""

import os

import cart
import faust
import orjson
import redis.asyncio as aioredis
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
r = aioredis.Redis.from_url(E["BENCH_REDIS"])


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
stream_time = {}
pg = Progress(int(E["BENCH_TOTAL"]))


async def emit(t):
    await triggers.send(key=t["visitor"], value=t)


if not os.environ.get("FAUST_BATCH"):

    @app.agent(events)
    async def handle(stream):
        async for ev in stream.events():
            e, p = ev.value, ev.message.partition
            v, t = e.visitor, e.at_ms
            if t > stream_time.get(p, 0):
                stream_time[p] = t
            raw = await r.get("s:" + v)
            s = orjson.loads(raw) if raw else cart.new(t)
            if t - s["last"] > GAP:
                tr = cart.close(v, s)
                if tr:
                    await emit(tr)
            cart.apply(s, {"type": e.type, "at_ms": t, "items": e.items, "granted": e.granted})
            async with r.pipeline(transaction=False) as pipe:
                pipe.set("s:" + v, orjson.dumps(s))
                pipe.zadd(f"timers:{p}", {v: t + GAP})
                await pipe.execute()
            if e.type == "exit_signal":
                tr = cart.immediate(v, s, {"type": e.type, "id": e.id})
                if tr:
                    await emit(tr)
            pg.add()
else:

    @app.agent(events)
    async def handle(stream):
        async for batch in stream.take_events(500, within=0.05):
            vs = list({ev.value.visitor for ev in batch})
            raw = await r.mget(["s:" + v for v in vs])
            ss = {v: orjson.loads(x) if x else None for v, x in zip(vs, raw)}
            z = {}
            for ev in batch:
                e, p = ev.value, ev.message.partition
                v, t = e.visitor, e.at_ms
                s = ss[v]
                if s is None:
                    s = ss[v] = cart.new(t)
                if t - s["last"] > GAP:
                    tr = cart.close(v, s)
                    if tr:
                        await emit(tr)
                cart.apply(s, {"type": e.type, "at_ms": t, "items": e.items, "granted": e.granted})
                z.setdefault(p, {})[v] = t + GAP
                if e.type == "exit_signal":
                    tr = cart.immediate(v, s, {"type": e.type, "id": e.id})
                    if tr:
                        await emit(tr)
            async with r.pipeline(transaction=False) as pipe:
                pipe.mset({"s:" + v: orjson.dumps(s) for v, s in ss.items()})
                for p, zz in z.items():
                    pipe.zadd(f"timers:{p}", zz)
                await pipe.execute()
            for ev in batch:
                if ev.value.at_ms > stream_time.get(ev.message.partition, 0):
                    stream_time[ev.message.partition] = ev.value.at_ms
            pg.add(len(batch))


@app.timer(interval=1.0)
async def fire():
    for p, now in list(stream_time.items()):
        while True:
            due = await r.zrangebyscore(
                f"timers:{p}", "-inf", f"({now}", start=0, num=500, withscores=True
            )
            if not due:
                break
            raw = await r.mget([b"s:" + v for v, _ in due])
            for (v, score), x in zip(due, raw):
                s = orjson.loads(x)
                if s["last"] + GAP == int(score):  # not touched since
                    tr = cart.close(
                        v.decode(), dict(s)
                    )  # state is reset by the visitor's next event
                    if tr:
                        await emit(tr)
            # an event may have moved a deadline meanwhile: remove only what is still due
            await r.zremrangebyscore(f"timers:{p}", "-inf", due[-1][1])


if __name__ == "__main__":
    import sys

    sys.argv = ["faust_redis", "worker", "-l", "warn", "--without-web"]
    app.main()
