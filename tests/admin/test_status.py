"""``cartwake status`` beside a real worker on real servers, and where nothing runs."""

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from stream.admin import observe
from stream.domain.topics import LANES
from tests.real.pipeline import PARTITIONS, Pipeline
from tests.rig.processes import (
    LOOPBACK,
    REPOSITORY,
    cartwake_command,
    cartwake_environment,
    free_port,
    run_cartwake,
    wait_until,
)

SHOPPERS = 60
IDLE_S = 600
BOTH = {"personalization": "granted", "marketing_email": "granted"}
PRODUCT = {"id": "mug", "price_minor": 1200, "currency": "EUR"}


@pytest.fixture
def pipeline(empty_kafka, empty_redis, tmp_path, group) -> Iterator[Pipeline]:
    idle = {"cart_abandonment__idle_s": IDLE_S}
    with Pipeline(empty_kafka, empty_redis, tmp_path, group, **idle) as running:
        yield running


def shop(pipeline: Pipeline, ago_ms: int) -> None:
    """Let shoppers put something in their carts, so long ago by the records' timestamps."""
    at_ms = time.time_ns() // 1_000_000 - ago_ms

    def records(kind: str, **fields: Any):
        for number in range(SHOPPERS):
            visitor = f"v-{number}"
            event = {"type": kind, "id": f"{kind}-{number}", "visitor": visitor, "at_ms": at_ms}
            value = json.dumps(event | fields).encode()
            yield visitor.encode(), value, at_ms, None, None

    kafka = pipeline.kafka
    kafka.produce("consent-events", records("consent_updated", purposes=BOTH))
    kafka.produce("cart-events", records("product_added", product=PRODUCT, quantity=1))


def status(settings: dict[str, str]) -> dict[str, Any]:
    ended = run_cartwake("status", "--json", settings=settings)
    assert (ended.returncode, ended.stderr) == (0, "")
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def test_lag_falls_to_nothing_as_a_worker_works_and_timers_are_counted(pipeline):
    shop(pipeline, ago_ms=50_000)
    before = status(pipeline.settings)
    assert before["workers"] == before["totals"]["owned"] == 0
    assert before["totals"]["lag_records"] == 2 * SHOPPERS
    assert 49 < before["totals"]["lag_seconds"] < 600
    assert {shard["epoch"] for shard in before["shards"]} == {0}

    pipeline.start_workers(2)
    pipeline.wait_until_folded(2 * SHOPPERS, 60)
    after = status(pipeline.settings)
    assert after["group_state"] == "Stable"
    assert (after["workers"], after["totals"]["owned"]) == (2, PARTITIONS)
    assert (after["totals"]["lag_records"], after["totals"]["lag_seconds"]) == (0, 0.0)
    assert after["totals"]["visitors"] == after["totals"]["timers_armed"] == SHOPPERS
    assert after["totals"]["timers_overdue"] == after["totals"]["outbox_entries"] == 0
    assert len({shard["owner"]["member"] for shard in after["shards"]}) == 2
    assert all(shard["stopped"] is None for shard in after["shards"])


@pytest.mark.parametrize(("clock", "overdue"), [("live", 2), ("records", 1)])
def test_timers_are_overdue_by_the_clock_that_makes_them_due(pipeline, clock, overdue):
    far_ms = 4_000_000_000_000
    with pipeline.redis.client() as client:
        mark = json.dumps({"offsets": {}, "clock_ms": 10, "step": 1})
        client.hset(f"{pipeline.group}:{{3}}:own", mapping={"watermark": mark, "epoch": 4})
        client.zadd(f"{pipeline.group}:{{3}}:wake", {"1:sann": 9, "1:sbob": 11, "1:scid": far_ms})
    shard = status(pipeline.settings | {"CARTWAKE_WORKER__CLOCK": clock})["shards"][3]
    assert (shard["timers_armed"], shard["timers_overdue"]) == (3, overdue)
    assert (shard["epoch"], shard["clock_ms"]) == (4, 10)


def test_looking_takes_no_shard_and_joins_no_group(pipeline):
    pipeline.start_workers(1)
    wait_until(lambda: owned(pipeline) == PARTITIONS, "all shards")
    before = status(pipeline.settings)
    for _ in range(3):
        ended = run_cartwake("status", settings=pipeline.settings)
        assert ended.returncode == 0, ended.stderr
    after = status(pipeline.settings)
    for name in ("owner", "epoch"):
        assert [one[name] for one in before["shards"]] == [one[name] for one in after["shards"]]
    assert after["workers"] == 1
    wait_until(pipeline.workers[0].is_ready, "the worker, undisturbed")


def owned(pipeline: Pipeline) -> int:
    count: int = status(pipeline.settings)["totals"]["owned"]
    return count


def test_the_table_has_a_row_for_each_shard_and_no_control_codes(pipeline):
    ended = run_cartwake("status", settings=pipeline.settings)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0].startswith(f"group {pipeline.group} (")
    assert lines[1].split()[:4] == ["shard", "owner", "epoch", "lag"]
    assert [line.split()[0] for line in lines[2 : 2 + PARTITIONS]] == list(
        map(str, range(PARTITIONS))
    )
    assert lines[-2].startswith(f"total: 0 of {PARTITIONS} shards owned, lag 0 records")
    assert lines[-1] == "models: none have learnt yet"
    assert "\x1b" not in ended.stdout


def test_a_shard_whose_log_was_deleted_unread_cannot_go_on(pipeline):
    shop(pipeline, ago_ms=0)
    with pipeline.redis.client() as client:
        mark = json.dumps({"offsets": dict.fromkeys(LANES, 999), "clock_ms": 1, "step": 1})
        client.hset(f"{pipeline.group}:{{3}}:own", mapping={"watermark": mark, "epoch": 4})
    told = status(pipeline.settings)
    assert told["totals"]["stopped"] == 1
    assert "but 999 has been reached before" in told["shards"][3]["stopped"]


def test_a_shard_that_was_stopped_for_its_dead_letters_is_told_until_it_goes_on(pipeline):
    pipeline.kafka.produce("page-views", [(b"ann", b"{", 0, None, 3)] * 101)
    pipeline.start_workers(1, wait=False)  # it is not ready while a shard is stopped
    # Not by looking again and again: each look is a program that takes the worker's time.
    wait_until(lambda: "Shard 3 is stopped" in pipeline.workers[0].output, "the stop", 60)
    wait_until(lambda: status(pipeline.settings)["totals"]["stopped"], "the word of it", 60)
    shard = status(pipeline.settings)["shards"][3]
    assert shard["stopped"].startswith("101 dead letters in a row, most of them malformed, the fir")
    assert (shard["owner"] is not None, shard["lag_records"]) == (True, 101)
    ended = run_cartwake("status", settings=pipeline.settings)
    assert "shard 3 is stopped: 101 dead letters in a row" in ended.stdout
    pipeline.workers[0].stop()
    pipeline.settings["CARTWAKE_DEAD_LETTERS__MAX_IN_A_ROW"] = "1000"
    pipeline.start_workers(1)
    pipeline.wait_until_folded(101, 60)
    totals = status(pipeline.settings)["totals"]
    assert (totals["lag_records"], totals["stopped"]) == (0, 0)


@pytest.mark.parametrize(
    ("away", "said"),
    [
        ("KAFKA__BOOTSTRAP", "cartwake: Kafka at {place} cannot be reached\n"),
        ("REDIS__URL", "cartwake: Redis at {place} does not serve ("),
    ],
)
def test_a_server_that_is_away_is_one_line(pipeline, away, said):
    place = f"{LOOPBACK}:{free_port()}"
    url = f"redis://{place}/0" if away == "REDIS__URL" else place
    ended = run_cartwake("status", settings=pipeline.settings | {f"CARTWAKE_{away}": url})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(said.format(place=place))
    assert ended.stderr.count("\n") == 1


def test_a_missing_topic_is_one_line(pipeline):
    pipeline.kafka.delete_topics(["page-views"])
    ended = run_cartwake("status", settings=pipeline.settings)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "no topic page-views: make them with 'cartwake topics create'" in ended.stderr


def test_partitions_that_were_changed_under_the_group_are_one_line(pipeline):
    with pipeline.redis.client() as client:
        client.set(f"{pipeline.group}:partitions", 5)
    ended = run_cartwake("status", settings=pipeline.settings)
    assert ended.returncode == 1
    assert "holds the state of 5; partitions cannot be changed under a group" in ended.stderr


def test_partitions_without_a_leader_are_named():
    counts = {"page-views": 12, "cart-events": 12}
    assert list(observe._leaderless(counts, counts)) == []
    [line] = observe._leaderless(counts, counts | {"page-views": 10})
    assert line == "2 of 12 partitions of page-views have no leader: start their brokers"


class Watching:
    """A ``cartwake status --watch`` whose output goes to a file."""

    def __init__(self, folder: Path, settings: dict[str, str], *options: str) -> None:
        self._out = folder / "watch.out"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                cartwake_command("status", "--watch", *options),
                cwd=REPOSITORY,
                env=cartwake_environment(settings),
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        return self._out.read_text()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@pytest.fixture
def watching(pipeline, tmp_path):
    started: list[Watching] = []

    def start(*options: str) -> Watching:
        started.append(Watching(tmp_path, pipeline.settings, *options))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_watching_shows_it_again_and_again_until_ctrl_c(pipeline, watching):
    watch = watching()
    heading = f"group {pipeline.group} ("
    wait_until(lambda: watch.output().count(heading) >= 2, "the second look", 60)
    assert watch.interrupt() == 130
    assert "Traceback" not in watch.output()


def test_a_terminal_has_the_table_redrawn_in_its_place(pipeline):
    ours, theirs = pty.openpty()
    settings = cartwake_environment(pipeline.settings | {"TERM": "xterm", "COLUMNS": "100"})
    command = cartwake_command("status", "--watch")
    process = subprocess.Popen(command, cwd=REPOSITORY, env=settings, stdout=theirs, stderr=theirs)
    os.close(theirs)  # or its end would not be seen
    too_long = Timer(120, process.kill)
    too_long.start()
    heading, drawn, interrupted = f"group {pipeline.group} (", "", False
    with suppress(OSError):  # so a terminal ends whose program has ended
        while part := os.read(ours, 4096):
            drawn += part.decode(errors="replace")
            if drawn.count(heading) >= 3 and not interrupted:
                process.send_signal(signal.SIGINT)  # once: a second could end an ending Python
                interrupted = True
    too_long.cancel()
    os.close(ours)
    assert process.wait(30) == 130
    assert "\x1b[1A\x1b[2K" in drawn, "the lines before were taken back"


def test_watching_for_programs_is_one_object_a_line(pipeline, watching):
    watch = watching("--json")
    wait_until(lambda: watch.output().count("\n") >= 2, "the second look", 60)
    shop(pipeline, ago_ms=0)
    wait_until(lambda: f'"lag_records":{2 * SHOPPERS}' in watch.output(), "the new lag", 60)
    assert watch.interrupt() == 130
    told = [json.loads(line) for line in watch.output().splitlines()]
    assert told[0]["totals"]["lag_records"] == 0
    assert all(one["group"] == pipeline.group for one in told)


def test_an_outage_is_told_and_watched_on(pipeline, watching):
    watch = watching("--json")
    wait_until(partial(says, watch, '"totals"'), "the first look", 60)
    pipeline.redis.stop()
    try:
        wait_until(partial(says, watch, "does not serve"), "the outage", 60)
    finally:
        pipeline.redis.start()
    told = watch.output()
    wait_until(lambda: '"totals"' in watch.output()[len(told) :], "the end of it", 60)
    assert watch.interrupt() == 130


def says(watch: Watching, words: str) -> bool:
    return words in watch.output()
