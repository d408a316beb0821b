"""Processes that are stuck, with a broker that is away and with one that serves.

The one rule: only one that a restart would help ends itself.
"""

import json
import sys
import time

import msgspec
import pytest

from stream.runtime.watchdog import EXIT_CODE
from tests.delivery.triggers import trigger
from tests.real.pipeline import Pipeline
from tests.real.test_trouble import SECRET, leave_carts, shoppers
from tests.rig.processes import Served, Worker, wait_until

WITHIN_S = 60.0
STUCK_AFTER_S = 4.0
# `cartwake worker` with less patience, whose fetches are never answered once a file is there.
WORKER = f"""
import asyncio, pathlib, sys
from aiokafka.consumer.fetcher import Fetcher
from stream.cli import main
from stream.adapters.kafka import connect
from stream.runtime import watchdog
from stream.worker import liveness

liveness.SILENT_AFTER_S, liveness.STUCK_AFTER_S = 2.0, {STUCK_AFTER_S}
watchdog.PATIENCE_LOOKS, connect.ANSWER_S = 3, 2.0
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
    assert (
        "have not been answered for 4 s, although Kafka serves a new client; the process ends"
        in said
    )
    assert "stream/worker/faust/transport.py" in said  # where a task waits
    assert SECRET.partition("@")[0] not in said


# `cartwake webhooks` with less patience, which a trigger of this kind of visitor is too much for.
WEBHOOKS = f"""
import asyncio, sys, time
from stream.cli import main
from stream.delivery import liveness
from stream.runtime import liveness as runtime, watchdog
from stream.adapters.kafka import connect
from stream.webhooks.endpoint import WebhookChannel

liveness.STUCK_AFTER_S = runtime.LOOP_STUCK_AFTER_S = {STUCK_AFTER_S}
watchdog.PATIENCE_LOOKS, connect.ANSWER_S = 5, 2.0

async def hangs(self, debt, *_):
    await asyncio.Event().wait()

async def blocks(self, debt, *_):
    while True:
        time.sleep(0.1)

WebhookChannel.prepare = {{"hangs": hangs, "blocks": blocks}}[sys.argv[1]]
sys.exit(main(["webhooks"]))
"""
ENDPOINT = {"name": "crm", "url": "https://crm.example/hook", "secrets": ["whsec_AAAA"]}


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("hangs", "a task of webhook/crm has made no progress for"),
        ("blocks", "the event loop has been blocked for"),
    ],
)
def test_webhooks_that_hang_are_told_on_the_page_and_end_and_a_kafka_that_is_away_does_not_do_it(
    pipeline, tmp_path, group, how, why
):
    settings = pipeline.settings | {
        "CARTWAKE_WEBHOOKS__ENDPOINTS": json.dumps([ENDPOINT]),
        "CARTWAKE_WEBHOOKS__GROUP": f"hooks-{group}",
    }
    program = (sys.executable, "-c", WEBHOOKS, how)
    with Served("webhooks", tmp_path, settings, "webhooks", program) as webhooks:
        pipeline.kafka.pause()
        try:
            time.sleep(2 * STUCK_AFTER_S)
            assert webhooks.get("/healthz")[0] == 200
        finally:
            pipeline.kafka.resume()
        now_ms = time.time_ns() // 1_000_000
        asked = trigger(visitor=SECRET, due_at_ms=now_ms, expires_at_ms=now_ms + 3_600_000)
        record = (SECRET.encode(), msgspec.json.encode(asked), now_ms, None, None)
        pipeline.kafka.produce("triggers", [record])
        wait_until(lambda: webhooks.get("/healthz")[0] == 503, "the page to tell", WITHIN_S)
        assert why in webhooks.get("/healthz")[1]
        assert webhooks.wait(WITHIN_S) == EXIT_CODE
    assert f"No progress: {why}" in webhooks.output
    assert f"in {how}" in webhooks.output  # where it stands
    assert SECRET not in webhooks.output
