"""Drain and floors: a preloaded log through the full job, and the least that any job must pay.

The floors are measured beside the drain, in the same repeat: polling Kafka and decoding alone;
sending the same bytes to Redis alone; decoding and folding alone, in memory.
"""

from pathlib import Path

from bench.cartwake import Cartwake, broker, differences, drained
from bench.cpu import apart
from bench.events import Log
from bench.floors import fold, poll, send
from bench.results import Run
from tests.rig.redis import Redis

JOB, POLL = "full job, one worker", "floor: aiokafka and orjson"


def measure(run: Run, log: Log, repeats: int, folder: Path) -> None:
    """Measure drain and floors, one after the other, as often as wanted."""
    expected = log.expected(folder / "expected")
    with broker(folder) as kafka:
        log.produce(kafka)
        for repeat in range(1, repeats + 1):
            with Cartwake(kafka, folder, settings={"worker__clock": "records"}) as cartwake:
                figures = drained(cartwake, log)
                found = differences(expected, cartwake.published())
            polled = apart(poll, kafka.bootstrap, log.events)
            figures["times_the_floor"] = figures["worker_and_redis_us"] / polled["worker_us"]
            run.note(JOB, repeat, figures | found)
            run.note(POLL, repeat, polled)
            batch = round(figures["batch"])
            run.note("floor: decode and fold in memory", repeat, apart(fold, log, batch))
            sent = _sent(log, batch, folder / f"floor-{repeat}")
            run.note("floor: the same bytes to Redis", repeat, sent)


def _sent(log: Log, batch: int, folder: Path) -> dict[str, float]:
    redis = Redis(folder)
    redis.start()
    try:
        return apart(send, log, batch, redis.url, redis.pid)
    finally:
        redis.stop()
