import asyncio
import subprocess
import sys
import threading
import time

import pytest

from stream.runtime import watchdog as module
from stream.runtime.watchdog import EXIT_CODE, PATIENCE_LOOKS, Watchdog
from tests.rig.processes import REPOSITORY

SECRET = "zoe.4711@shop.example"


class Watched:
    """What a watchdog looks at."""

    def __init__(self):
        self.reasons, self.suspect, self.served = [], "", []

    def alive(self):
        return not self.reasons, self.reasons

    def probe_reason(self):
        return self.suspect

    def note_probe(self, *, ok):
        self.served.append(ok)


@pytest.fixture
def watched():
    return Watched()


@pytest.fixture
def told(monkeypatch):
    """Return what the last words would have been about."""
    reasons = []
    monkeypatch.setattr(module, "_log_end", reasons.append)
    return reasons


@pytest.fixture
def codes():
    return []


@pytest.fixture
def watchdog(watched, codes, told):
    return Watchdog(watched, lambda: True, end=codes.append)


def look(watchdog, times):
    for _ in range(times):
        watchdog.look()


def test_a_worker_that_lives_goes_on(watchdog, codes):
    look(watchdog, 3 * PATIENCE_LOOKS)
    assert codes == []


def test_a_worker_that_makes_no_progress_for_long_ends_with_a_code_of_its_own(
    watchdog, watched, codes, told
):
    watched.reasons = ["shards [4] have not moved"]
    look(watchdog, PATIENCE_LOOKS)
    assert codes == []
    watchdog.look()
    assert codes == [EXIT_CODE] == [71]
    assert told == [["shards [4] have not moved"]]


def test_one_good_look_starts_the_patience_anew(watchdog, watched, codes):
    for _ in range(3):
        watched.reasons = ["stuck"]
        look(watchdog, PATIENCE_LOOKS)
        watched.reasons = []
        watchdog.look()
    assert codes == []


@pytest.mark.parametrize("is_served", [True, False])
def test_kafka_is_probed_only_where_there_is_a_reason(watched, is_served):
    watchdog = Watchdog(watched, lambda: is_served)
    watchdog.look()
    assert watched.served == []
    watched.suspect = "no answer"
    watchdog.look()
    assert watched.served == [is_served]


def test_log_lines_that_cannot_be_written_do_not_delay_the_end(watched, monkeypatch):
    said, ended = threading.Event(), []

    def slowly(_):
        time.sleep(5)
        said.set()

    monkeypatch.setattr(module, "LOG_WITHIN_S", 0.01)
    monkeypatch.setattr(module, "_log_end", slowly)
    watched.reasons = ["the log's reader sleeps"]
    watchdog = Watchdog(watched, lambda: True, end=lambda code: ended.append((code, said.is_set())))
    look(watchdog, PATIENCE_LOOKS + 1)
    assert ended == [(EXIT_CODE, False)]


async def test_where_tasks_wait_is_told_down_to_the_innermost():
    async def inner(visitor):
        await asyncio.sleep(60)

    async def outer(visitor):
        await inner(visitor)

    task = asyncio.create_task(outer(SECRET), name="shard 4")
    await asyncio.sleep(0)
    told = "\n".join(module._tasks())
    task.cancel()
    waiting = told[told.index("shard 4:") :]
    for before, after in (("outer", "inner"), ("inner", "sleep")):
        assert waiting.index(f" in {before}") < waiting.index(f" in {after}")
    assert "test_watchdog.py" in waiting
    assert SECRET not in told


STUCK = """
import asyncio, logging, sys, time
from types import SimpleNamespace
from prometheus_client import CollectorRegistry
from stream.runtime import liveness, watchdog
from stream.worker.liveness import WorkerLiveness
from stream.worker.metrics import Metrics

liveness.LOOP_STUCK_AFTER_S, watchdog.PATIENCE_LOOKS = 0.2, 3
logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
shards = SimpleNamespace(stalled=lambda _: [], stopped={}, observe=lambda: None)
intake = SimpleNamespace(
    shards=shards, is_settled=True, is_idle=True, answered=0.0, silent=lambda _: []
)
redis = SimpleNamespace(is_up=True, address="here")
clock = SimpleNamespace(doubt="", skews_s={})

async def waits_for_ever(visitor):
    await asyncio.Event().wait()

def blocks_the_loop(visitor):
    for _ in range(600):
        time.sleep(0.1)

async def main():
    beats.observe(intake, redis, clock)
    waiting = asyncio.create_task(waits_for_ever(secret))
    await asyncio.sleep(0.3)
    beats.observe(intake, redis, clock)
    blocks_the_loop(secret)

secret = sys.argv[1]
beats = WorkerLiveness(Metrics(CollectorRegistry()), "there")
with watchdog.Watchdog(beats, lambda: False, look_s=0.05):
    asyncio.run(main())
"""


def test_a_process_whose_event_loop_is_blocked_ends_and_says_where():
    done = subprocess.run(
        [sys.executable, "-c", STUCK, SECRET],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (EXIT_CODE, "")
    said = done.stderr
    assert "No progress: the event loop has been blocked for 0 s; the process ends" in said
    for place in ("blocks_the_loop", "waits_for_ever", "main"):
        assert f" in {place}" in said
    assert said.count("No progress") == 1
    assert SECRET not in said
    assert "Traceback" not in said
