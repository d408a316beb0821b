"""Peers: other engines and Cartwake drain the same events, taking turns, and all are checked.

The one rule: a contestant is judged by the reference of its own job. Cartwake's job is theirs and
more: late and repeated events, holdout, follow-ups, exit intent, features and models, a record of
each decision; and each of its steps is durable before its triggers leave.
"""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bench import events
from bench.cartwake import Cartwake, broker, differences, drained
from bench.cpu import spent
from bench.events import Log
from bench.peers import reference
from bench.peers.contestant import PARTITIONS, Contestant, contestants, require
from bench.peers.convert import peer_event
from bench.results import Run
from tests.rig.kafka import Kafka, Message, Record
from tests.rig.processes import Unavailable

# The last events come so long after all others that every engine's sessions are over.
CLOSING_MS = 7_200_000
SHORTER = 8  # of the log of slow ones
FIRST_WITHIN_S, DONE_WITHIN_S, SETTLED_WITHIN_S = 120.0, 600.0, 15.0
OURS = "cartwake"


class Course(NamedTuple):
    """A loaded input topic, its events, and the triggers that must come of them."""

    topic: str
    log: Log
    expected: dict[str, reference.Trigger]


def measure(run: Run, log: Log, repeats: int, folder: Path) -> None:
    """Let all contestants drain the events, A B C, A B C, and compare CPU per event."""
    shared = course_log(log, log.events)
    ours = shared.expected(folder / "expected")
    with broker(folder, PARTITIONS) as kafka:
        shared.produce(kafka)
        courses = {
            False: load(kafka, "long", shared),
            True: load(kafka, "short", course_log(log, log.events // SHORTER)),
        }
        for repeat in range(1, repeats + 1):
            settings = {"worker__clock": "records"}
            with Cartwake(kafka, folder, PARTITIONS, settings) as cartwake:
                figures = drained(cartwake, shared)
                found = differences(ours, cartwake.published())
            run.note(OURS, repeat, _told(figures, found, figures["worker_and_redis_us"]))
            for name, spec in contestants().items():
                if spec.get("drain", True):
                    course = courses[spec.get("slow", False)]
                    raced = _tried(kafka, name, course, folder, figures["worker_and_redis_us"])
                    run.note(name, repeat, raced)


def course_log(log: Log, limit: int) -> Log:
    """Return the first events with everybody's consent, and what closes all sessions."""
    first = map(orjson.loads, islice(log.lines(), limit))
    found = events.closed(events.with_everybodys_consent(first), PARTITIONS, CLOSING_MS)
    source = log.source.partition(",")[0]
    return events.write(found, f"race {log.path.stem} {limit}", source, PARTITIONS)


def load(kafka: Kafka, name: str, log: Log) -> Course:
    """Write a log as the contestants read it, and find out what must come of it."""
    topic = f"in-{name}"
    kafka.create_topics([topic], PARTITIONS)
    kafka.produce(topic, _records(log))
    expected = reference.run((peer_event(orjson.loads(line)) for line in log.lines()), PARTITIONS)
    return Course(topic, log, expected)


def _records(log: Log) -> Iterator[Record]:
    for line in log.lines():
        event = peer_event(orjson.loads(line))
        yield event["visitor"].encode(), orjson.dumps(event), event["at_ms"], None, None


def _tried(kafka: Kafka, name: str, course: Course, folder: Path, ours_us: float) -> Any:  # noqa: ANN401 - figures or words
    try:
        require(name)
        with Contestant(kafka, name, course.topic, course.log.events, folder) as contestant:
            return _raced(contestant, course, ours_us)
    except (Unavailable, RuntimeError, TimeoutError) as why:
        return {"worker_and_redis_us": f"not run: {str(why).strip().splitlines()[0]}"}


def _raced(contestant: Contestant, course: Course, ours_us: float) -> dict[str, Any]:
    first = contestant.mark("first", FIRST_WITHIN_S)
    last = contestant.mark("done", DONE_WITHIN_S)
    figures = spent(first, last, course.log.events)
    figures["worker_and_redis_us"] = figures["worker_us"] + figures.get("redis_us", 0.0)
    figures["worker_mib"] = contestant.peak_mib()
    if not contestant.spec.get("output", True):
        return _told(figures, {}, ours_us)
    return _told(figures, _checked(contestant, course), ours_us)


def _checked(contestant: Contestant, course: Course) -> dict[str, int]:
    settled = time.monotonic() + SETTLED_WITHIN_S
    while course.expected.keys() - _by_id(contestant) and time.monotonic() < settled:
        time.sleep(0.5)
    contestant.end()
    published = contestant.kafka.read_all(contestant.output)
    found = differences(set(course.expected), [_body(one)["trigger_id"] for one in published])
    wrong = [
        name
        for name, body in _by_id(contestant).items()
        if name in course.expected and _differs(body, course.expected[name])
    ]
    return found | {"wrong": len(wrong)}


def _by_id(contestant: Contestant) -> dict[str, Any]:
    bodies = map(_body, contestant.kafka.read_all(contestant.output))
    return {body["trigger_id"]: body for body in bodies}


def _body(message: Message) -> Any:  # noqa: ANN401 - JSON
    return orjson.loads(message.value or b"")


def _differs(body: dict[str, Any], expected: reference.Trigger) -> bool:
    return any(body.get(name) != expected[name] for name in ("visitor", "cart_value", "lines"))


def _told(figures: dict[str, float], found: dict[str, int], ours_us: float) -> dict[str, Any]:
    """Return the figures in the order of the table, and how they compare with ours."""
    names = ("events_per_s", "worker_us", "redis_us", "worker_and_redis_us", "kafka_us")
    ordered = {name: figures[name] for name in names if name in figures}
    ordered["times_ours"] = figures["worker_and_redis_us"] / ours_us
    rest = ("worker_mib", "others_cores")
    return ordered | {name: figures[name] for name in rest} | found
