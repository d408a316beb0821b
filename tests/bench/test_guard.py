"""Has it become slower by far? What an event takes, beside a floor of the same moment.

Ratios within one process, far below their limits: noise does not reach them, but a cache that
broke or a query for each event does. What was found is kept in ``.cache/bench/guard.jsonl``.
"""

import json
import time
from collections import Counter

import orjson
import pytest

from bench import synthetic
from bench.events import write
from bench.floors import fold
from bench.results import FOLDER
from stream.adapters.memory import MemorySink
from stream.adapters.redis.connection import Connection
from stream.adapters.redis.store import RedisStore
from stream.adapters.wire.facts import read
from stream.adapters.wire.outgoing import outgoing
from stream.config.policy import policies_of
from stream.config.settings import Settings
from stream.entities.visitors import VISITOR_CODEC, VisitorEntity
from stream.learning.scorer import ModelScorer
from stream.shard.clock import Fact, RecordsClock
from stream.shard.folding import Batch
from stream.shard.shard import Shard
from tests.rig.merch_store import TOPIC_OF
from tests.scenarios.world import Record

VISITORS = 300
STEP = 1_000
# Usually 15 to 25: decoding with every check, deadlines, the fold, decisions, features.
MOST_TIMES_THE_FLOOR = 100
# To look who is due, load, commit, and remove what was published.
MOST_COMMANDS = 10


@pytest.fixture(scope="module")
def log():
    return write(synthetic.events(VISITORS), f"guard {VISITORS}", "synthetic", partitions=1)


def floor_us(log):
    """Return the least that reading an event takes: its JSON, and no look at it."""
    lines = list(log.lines())
    began = time.process_time()
    for line in lines:
        orjson.loads(line)
    return (time.process_time() - began) / len(lines) * 1e6


def kept(**figures):
    """Print and keep what was found, for whoever wonders since when."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "guard.jsonl").open("a") as file:
        file.write(json.dumps({"at": time.time()} | figures) + "\n")
    print(figures)


def test_reading_and_folding_an_event_stays_within_sight_of_the_floor(log):
    floor = min(floor_us(log) for _ in range(5))
    found = min(sum(fold(log, STEP)[part] for part in ("decode_us", "fold_us")) for _ in range(3))
    kept(fold_times_the_floor=found / floor)
    assert found / floor < MOST_TIMES_THE_FLOOR


async def test_a_step_is_a_handful_of_commands_however_many_events_it_has(log, empty_redis):
    connection = Connection(empty_redis.url)
    store = RedisStore(connection, "guard", VISITOR_CODEC)
    owner, policies = await store.claim(0), policies_of(Settings())
    shard = Shard(
        owner,
        store,
        MemorySink(),
        lambda e, _: outgoing(e, 0, ""),
        VisitorEntity(policies, ModelScorer()),
    )
    found = records(log)
    calls = Counter()
    counted(connection, calls)
    for at in range(0, len(found), STEP):
        inputs = read(found[at : at + STEP])
        facts = [one for one in inputs if isinstance(one, Fact)]
        clock = RecordsClock(shard.owner.watermark.clock_ms, facts, at_end=False)
        await shard.step(Batch(inputs, {"lines": at + STEP}, clock, 0, live=False))
    await connection.close()
    per_step = calls.total() / (len(found) / STEP)
    kept(commands_per_step=per_step)
    assert calls["HMGET"] > 0 < calls["EVALSHA"]  # or it was not looked at what is sent
    assert per_step < MOST_COMMANDS


def records(log):
    """Return the log as Kafka would hand it out."""
    lines = [(line, orjson.loads(line)) for line in log.lines()]
    return [
        Record(TOPIC_OF[it["type"]], 0, at, it["at_ms"], it["visitor"].encode(), line)
        for at, (line, it) in enumerate(lines)
    ]


def counted(connection, calls):
    """Count what goes over a connection from now on."""
    send = connection.send

    def counting(*command):
        calls[command[0]] += 1
        return send(*command)

    connection.send = counting
