import os

import orjson
from cart import Progress
from confluent_kafka import Consumer

E = os.environ
pg = Progress(int(E["BENCH_TOTAL"]))
c = Consumer(
    {
        "bootstrap.servers": E["BENCH_BOOTSTRAP"],
        "group.id": E["BENCH_APP"],
        "auto.offset.reset": "earliest",
    }
)
c.subscribe([E["BENCH_INPUT"]])
while True:
    ms = c.consume(1000, 0.2)
    for m in ms:
        if not m.error():
            orjson.loads(m.value())
    if ms:
        pg.add(len(ms))
