import asyncio
import os

import orjson
from aiokafka import AIOKafkaConsumer
from cart import Progress


async def main():
    E = os.environ
    pg = Progress(int(E["BENCH_TOTAL"]))
    c = AIOKafkaConsumer(
        E["BENCH_INPUT"],
        bootstrap_servers=E["BENCH_BOOTSTRAP"],
        group_id=E["BENCH_APP"],
        auto_offset_reset="earliest",
        enable_auto_commit=True,
    )
    await c.start()
    while True:
        for ms in (await c.getmany(timeout_ms=200, max_records=1000)).values():
            for m in ms:
                orjson.loads(m.value)
            pg.add(len(ms))


asyncio.run(main())
