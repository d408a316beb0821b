"""A worker whose wall clock is moved while it runs: nothing early, nothing late.

Only the worker's clock is moved (libfaketime); Kafka, Redis and the test keep the true time.
"""

import time
from pathlib import Path

import pytest

from tests.real.pipeline import Pipeline
from tests.real.test_trouble import leave_carts, shoppers
from tests.rig.processes import wait_until

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
IDLE_S = 3
WITHIN_S = 30.0
HOUR_S = 3600
LATE_MS = 10_000


@pytest.fixture
def offset(tmp_path):
    """Return a file: what is written to it is what the worker's wall clock is ahead, in s."""
    if not LIBRARY.exists():
        pytest.skip(f"no libfaketime at {LIBRARY}: install the package libfaketime")
    file = tmp_path / "offset"
    file.write_text("+0")
    return file


@pytest.fixture
def pipeline(empty_kafka, redis_server, tmp_path, group, offset):
    settings = {"cart_abandonment__idle_s": IDLE_S, "holdout__fraction": 0}
    with Pipeline(empty_kafka, redis_server, tmp_path, group, **settings) as made:
        made.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        yield made


def skew_s(worker, clock):
    """Return what a clock is ahead of the time that the worker goes by; 0 before it knows."""
    sample = f'cartwake_clock_skew_seconds{{clock="{clock}"}} '
    lines = worker.get("/metrics")[1].splitlines()
    return next((float(it.removeprefix(sample)) for it in lines if it.startswith(sample)), 0.0)


def set_clock(worker, offset, ahead_s):
    """Move the worker's wall clock and wait until it has noticed."""
    offset.write_text(f"{ahead_s:+d}")
    wait_until(lambda: abs(skew_s(worker, "wall") - ahead_s) < 1, "a skew", WITHIN_S)


def watched(pipeline, visitors):
    """Return each visitor's reminder and when, in ms, it was seen: its own timestamp is faked."""
    seen = {}
    ends = time.monotonic() + WITHIN_S
    while len(seen) < len(visitors) and time.monotonic() < ends:
        bodies = pipeline.bodies("triggers")
        for body in bodies:
            if body["visitor"] in visitors:
                seen.setdefault(body["visitor"], (body, time.time() * 1000))
    assert seen.keys() == set(visitors)
    return seen.values()


def test_wherever_the_wall_clock_jumps_no_reminder_is_early_and_none_is_late(pipeline, offset):
    offset.write_text(f"+{HOUR_S}")
    pipeline.start_workers(1, wait=False)
    (worker,) = pipeline.workers
    early, first, second = shoppers(0, 20), shoppers(20, 20), shoppers(40, 20)

    wait_until(lambda: "clocks disagree" in worker.get("/readyz")[1], "doubt", 60)
    leave_carts(pipeline, early)
    pipeline.wait_until_folded(40, WITHIN_S)
    time.sleep(IDLE_S + 1)
    assert pipeline.bodies("triggers") == []
    set_clock(worker, offset, 0)
    assert len(watched(pipeline, early)) == 20

    for ahead_s, visitors in ((HOUR_S, first), (-HOUR_S, second)):
        left_ms = time.time() * 1000
        leave_carts(pipeline, visitors)
        set_clock(worker, offset, ahead_s)
        assert "clocks" not in worker.get("/readyz")[1]
        for body, seen_ms in watched(pipeline, visitors):
            assert left_ms + IDLE_S * 1000 <= body["due_at_ms"] <= seen_ms
            assert seen_ms < body["due_at_ms"] + LATE_MS
    assert len(pipeline.bodies("triggers")) == 60
    assert abs(skew_s(worker, "redis")) < 1
    # Or that Redis has not told its time, where that is slow to.
    assert worker.output.count("so nothing becomes due") == 1
    assert worker.stop() == 0
