"""A worker whose own client has gone deaf, with a broker that is away and with one that serves.

The one rule: only a worker that a restart would help ends itself.
"""

import sys
import time

import pytest

from stream.edge.watchdog import EXIT_CODE
from tests.real.pipeline import Pipeline
from tests.real.test_trouble import SECRET, leave_carts, shoppers
from tests.rig.processes import Worker, wait_until

WITHIN_S = 60.0
STUCK_AFTER_S = 4.0
# `cartwake worker` with less patience, whose fetches are never answered once a file is there.
WORKER = f"""
import asyncio, pathlib, sys
from aiokafka.consumer.fetcher import Fetcher
from stream.cli import main
from stream.edge import vitals, watchdog
from stream.edge.kafka import reach

vitals.SILENT_AFTER_S, vitals.STUCK_AFTER_S = 2.0, {STUCK_AFTER_S}
watchdog.PATIENCE_LOOKS, reach.ANSWER_S = 3, 2.0
fetch = Fetcher._proc_fetch_request

async def deaf(self, *args):
    if pathlib.Path(sys.argv[1]).exists():
        await asyncio.Event().wait()
    return await fetch(self, *args)

Fetcher._proc_fetch_request = deaf
sys.exit(main(["worker"]))
"""


@pytest.fixture
def pipeline(empty_kafka, redis_server, tmp_path, group):
    with Pipeline(empty_kafka, redis_server, tmp_path, group) as made:
        yield made


def test_a_deaf_consumer_ends_the_worker_and_a_kafka_that_is_away_does_not(pipeline, tmp_path):
    deaf = tmp_path / "deaf"
    worker = Worker(tmp_path, pipeline.settings)
    worker.command = (sys.executable, "-c", WORKER, str(deaf))
    with worker:
        leave_carts(pipeline, [SECRET.partition("@")[0], *shoppers(0, 5)])
        pipeline.wait_until_folded(12, WITHIN_S)

        pipeline.kafka.pause()
        try:
            wait_until(lambda: "does not answer" in worker.get("/readyz")[1], "silence", WITHIN_S)
            time.sleep(2 * STUCK_AFTER_S)
            assert worker.get("/healthz")[0] == 200
        finally:
            pipeline.kafka.resume()
        worker.wait_until_ready(worker.is_ready, WITHIN_S)

        deaf.touch()
        assert worker.wait(WITHIN_S) == EXIT_CODE
    said = worker.output
    assert "have not been answered for 4 s, though Kafka serves others; the worker ends" in said
    assert 'stream/edge/kafka/transport.py", line' in said
    assert SECRET.partition("@")[0] not in said
