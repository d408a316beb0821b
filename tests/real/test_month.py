"""Real input, two ways, one answer: a file's replay and a log on Kafka give the same triggers.

``python -m tests.real.test_month`` runs the whole month, with and without a killed worker, and
prints the figures; the tests take its first days.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka.partitioner import murmur2

from stream import replay
from stream.config.settings import Settings
from tests.real.pipeline import PARTITIONS, Pipeline
from tests.rig import merch_store
from tests.rig.kafka import Kafka
from tests.rig.processes import wait_until
from tests.rig.redis import Redis

HITS = 25_000
# A machine that is busy elsewhere still folds more than this in a second.
SLOWEST_EVENTS_PER_S = 500


class Month(NamedTuple):
    """A log and what its replay gave."""

    by_topic: dict[str, list[tuple[bytes, bytes, int]]]
    events: int
    last_ms: dict[int, int]
    triggers: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    summary: dict[str, Any]


def replayed(folder: Path, hits: int | None = None) -> Month:
    """Convert the shop's hits and replay them; timers due after the last event do not fire."""
    events = list(merch_store.events(limit=hits))
    source, out = folder / "events.jsonl", folder / "out"
    source.write_bytes(b"".join(merch_store.encode(event) + b"\n" for event in events))
    replay.run(str(source), out, Settings(), 0)
    last_ms: dict[int, int] = {}
    for event in events:
        last_ms[_shard(event["visitor"])] = event["at_ms"]
    return Month(
        by_topic=merch_store.by_topic(events),
        events=len(events),
        last_ms=last_ms,
        triggers=_lines(out / "triggers.jsonl"),
        decisions=_lines(out / "decisions.jsonl"),
        summary=json.loads((out / "summary.json").read_bytes()),
    )


def processed(pipeline: Pipeline, month: Month, *, kill: bool) -> float:
    """Let two workers fold the month from Kafka; return events/s from the first fold on."""
    assert pipeline.produce(month.by_topic) == month.events
    pipeline.start_workers(2)
    began, within_s = time.monotonic(), 60 + month.events / SLOWEST_EVENTS_PER_S
    if kill:
        wait_until(lambda: pipeline.stored().folded > month.events // 3, "a third", within_s)
        pipeline.workers[0].kill()
        pipeline.start_workers(1)
    pipeline.wait_until_folded(month.events, within_s)
    return month.events / (time.monotonic() - began)


def differences(pipeline: Pipeline, month: Month, topic: str) -> tuple[set[str], set[str], int]:
    """Return what only the replay and what only the worker gave, and how many repeats it made.

    Left out are timers due after a shard's last record: on Kafka nothing says that they are due.
    """
    bodies = pipeline.bodies(topic)
    worked = {_body(body) for body in bodies}
    expected = month.triggers if topic == "triggers" else month.decisions
    only_replayed = {
        _body(body)
        for body in expected
        if _body(body) not in worked and _due_ms(body) <= month.last_ms[_shard(body["visitor"])]
    }
    return only_replayed, worked - {_body(body) for body in expected}, len(bodies) - len(worked)


def _shard(visitor: str) -> int:
    return int((murmur2(visitor.encode()) & 0x7FFFFFFF) % PARTITIONS)


def _due_ms(body: dict[str, Any]) -> int:
    return int(body.get("due_at_ms", body.get("at_ms")))


def _body(body: dict[str, Any]) -> str:
    return json.dumps(
        {name: part for name, part in body.items() if name != "score"}, sort_keys=True
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def month(shop_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Month:
    """The shop's first days."""
    return replayed(tmp_path_factory.mktemp("month"), HITS)


@pytest.mark.parametrize("kill", [False, True], ids=["undisturbed", "worker killed"])
def test_a_log_on_kafka_gives_exactly_what_its_replay_gives(
    month: Month, empty_kafka: Kafka, redis_server: Redis, tmp_path: Path, group: str, kill: bool
) -> None:
    with Pipeline(empty_kafka, redis_server, tmp_path, group, worker__clock="records") as pipeline:
        processed(pipeline, month, kill=kill)
        assert differences(pipeline, month, "triggers")[:2] == (set(), set())
        assert differences(pipeline, month, "decisions")[:2] == (set(), set())
        assert len(pipeline.bodies("triggers")) > 100


def main() -> None:
    """Print the figures of the whole month."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        month = replayed(folder, int(sys.argv[1]) if len(sys.argv) > 1 else None)
        print("replay", json.dumps(month.summary))
        print("fired", Counter((t["kind"], t["step"]) for t in month.triggers))
        print("skipped", Counter((d["kind"], d["reason"]) for d in month.decisions))
        for kill in (False, True):
            kafka, redis = (
                Kafka(folder / f"kafka-{kill}", java_options=()),
                Redis(folder / f"r{kill}"),
            )
            kafka.start()
            redis.start()
            try:
                with Pipeline(
                    kafka, redis, folder / f"w{kill}", "month", worker__clock="records"
                ) as p:
                    speed = processed(p, month, kill=kill)
                    for topic in ("triggers", "decisions"):
                        missing, extra, repeats = differences(p, month, topic)
                        print(
                            f"kafka, kill={kill}: {speed:,.0f} events/s, {topic}:"
                            f" {len(missing)} missing, {len(extra)} extra, {repeats} repeats"
                        )
            finally:
                redis.stop()
                kafka.stop()


if __name__ == "__main__":
    main()
