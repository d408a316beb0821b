"""Bytewax, stateful_batch keyed by Kafka partition (its session windows close by a clock per key, so a
silent visitor would wait for the wall clock; partition stream time needs the partition as the key).
Recovery store on disk, snapshot every 10 s (whole partition, pickled)."""

import heapq
import os
import pickle

import bytewax.operators as op
import cart
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from cart import GAP, Progress

E = os.environ
BOOT = [E["BENCH_BOOTSTRAP"]]
pg = Progress(int(E["BENCH_TOTAL"]))


class Cart(StatefulBatchLogic):
    def __init__(self, state):
        self.now, self.sessions, self.heap, self.armed = (
            pickle.loads(state) if state else (0, {}, [], set())
        )

    def on_batch(self, values):
        out, ss, h, armed = [], self.sessions, self.heap, self.armed
        for e in values:
            v, t = e["visitor"], e["at_ms"]
            self.now = max(self.now, t)
            now = self.now
            while h and h[0][0] < now:
                due, who = heapq.heappop(h)
                s = ss[who]
                if s["last"] + GAP < now:
                    tr = cart.close(who, s)
                    if tr:
                        out.append(tr)
                    armed.discard(who)
                else:
                    heapq.heappush(h, (s["last"] + GAP, who))
            s = ss.get(v)
            if s is None:
                s = ss[v] = cart.new(t)
            cart.apply(s, e)
            if v not in armed:
                armed.add(v)
                heapq.heappush(h, (t + GAP, v))
            if e["type"] == "exit_signal":
                tr = cart.immediate(v, s, e)
                if tr:
                    out.append(tr)
        pg.add(len(values))
        return out, StatefulBatchLogic.RETAIN

    def snapshot(self):
        return pickle.dumps((self.now, self.sessions, self.heap, self.armed))


flow = Dataflow("cart")
msgs = kop.input("in", flow, brokers=BOOT, topics=[E["BENCH_INPUT"]], batch_size=1000).oks
keyed = op.map(
    "parse",
    msgs,
    lambda m: (
        str(m.partition[1]) if isinstance(m.partition, tuple) else str(m.partition),
        orjson.loads(m.value),
    ),
)
trig = op.stateful_batch("cart", keyed, Cart)
out = op.map(
    "ser", trig, lambda kv: KafkaSinkMessage(kv[1]["visitor"].encode(), orjson.dumps(kv[1]))
)
kop.output("out", out, brokers=BOOT, topic=E["BENCH_OUTPUT"])
