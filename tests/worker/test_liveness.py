import logging

import pytest
from prometheus_client import CollectorRegistry

from stream.runtime import liveness as runtime
from stream.worker.liveness import (
    SILENT_AFTER_S,
    STUCK_AFTER_S,
    UNCLAIMED_AFTER_S,
    WorkerLiveness,
)
from stream.worker.metrics import Metrics
from tests.rig.clocks import steady

KAFKA = "kafka.shop.example:9092"


class Shards:
    """What a beat asks of shards; ``still_s`` is for how long shard 4 has had work and stood."""

    def __init__(self):
        self.stopped, self.still_s, self.observed = {}, 0.0, 0

    def stalled(self, longer_than_s):
        return [4] if self.still_s > longer_than_s else []

    def observe(self):
        self.observed += 1


class Intake:
    """What a beat looks at: settled, and just answered."""

    def __init__(self, clock):
        self.answered, self.is_settled, self.is_idle = clock.now_s, True, False
        self.shards = Shards()
        self.mute, self.mute_s = [], 0.0  # partitions, and for how long

    def silent(self, longer_than_s):
        return self.mute if self.mute_s > longer_than_s else []


class Redis:
    address, is_up = "redis.shop.example:6379", True


class Wall:
    """A clock that is right."""

    def __init__(self):
        self.doubt, self.skews_s = "", {"wall": 0.0}


@pytest.fixture
def clock(monkeypatch):
    return steady(monkeypatch, runtime)


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def liveness(clock, registry):
    return WorkerLiveness(Metrics(registry), KAFKA)


@pytest.fixture
def intake(clock):
    return Intake(clock)


@pytest.fixture
def redis():
    return Redis()


@pytest.fixture
def wall():
    return Wall()


def test_a_starting_worker_lives_and_is_not_ready(liveness):
    assert liveness.alive() == (True, [])
    assert liveness.ready() == (False, ["the worker is starting"])


def test_a_start_says_what_it_waits_for(liveness):
    liveness.note_waiting("waiting for Redis at here:1")
    assert liveness.ready() == (False, ["waiting for Redis at here:1"])


def test_the_wait_for_the_start_has_no_end(liveness, clock):
    clock.now_s += 10 * STUCK_AFTER_S
    assert liveness.alive() == (True, [])


def test_with_its_shards_and_both_servers_it_is_ready(liveness, intake, redis, wall, registry):
    liveness.observe(intake, redis, wall)
    assert liveness.ready() == (True, [])
    assert registry.get_sample_value("cartwake_kafka_up") == 1
    assert registry.get_sample_value("cartwake_redis_up") == 1


def test_each_beat_tells_how_the_shards_stand(liveness, intake, redis, wall):
    liveness.observe(intake, redis, wall)
    liveness.observe(intake, redis, wall)
    assert intake.shards.observed == 2


def test_shards_that_are_not_claimed_yet_are_waited_for(liveness, intake, redis, wall):
    intake.is_settled = False
    liveness.observe(intake, redis, wall)
    assert liveness.ready() == (False, ["shards are not claimed yet"])


def test_a_stopped_shard_is_named(liveness, intake, redis, wall):
    intake.shards.stopped = {7: "why", 3: "why"}
    liveness.observe(intake, redis, wall)
    assert liveness.ready() == (False, ["shards [3, 7] are stopped"])
    assert liveness.alive() == (True, [])


def test_a_redis_that_is_away_is_named_by_its_address(liveness, intake, redis, wall, registry):
    redis.is_up = False
    liveness.observe(intake, redis, wall)
    assert liveness.ready() == (False, ["Redis at redis.shop.example:6379 does not answer"])
    assert registry.get_sample_value("cartwake_redis_up") == 0


def test_a_silent_kafka_is_named_and_mentioned_once_as_is_its_return(
    liveness, intake, redis, wall, clock, registry, caplog
):
    caplog.set_level(logging.INFO)
    liveness.observe(intake, redis, wall)
    for _ in range(3):
        clock.now_s += SILENT_AFTER_S
        liveness.observe(intake, redis, wall)
    assert liveness.ready() == (False, [f"Kafka at {KAFKA} does not answer"])
    assert registry.get_sample_value("cartwake_kafka_up") == 0
    intake.answered = clock.now_s
    for _ in range(3):
        liveness.observe(intake, redis, wall)
    assert liveness.ready() == (True, [])
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"Kafka at {KAFKA} does not answer; waiting for it"),
        ("INFO", f"Kafka at {KAFKA} answers again"),
    ]


def test_while_nothing_is_read_yet_kafka_is_not_called_silent(liveness, intake, redis, wall, clock):
    intake.is_settled = False
    clock.now_s += 10 * SILENT_AFTER_S
    liveness.observe(intake, redis, wall)
    assert liveness.ready() == (False, ["shards are not claimed yet"])


def test_where_nothing_is_assigned_kafka_is_not_called_silent(liveness, intake, redis, wall, clock):
    intake.is_idle = True
    clock.now_s += 10 * SILENT_AFTER_S
    liveness.observe(intake, redis, wall)
    assert liveness.ready() == (True, [])


def test_an_event_loop_that_no_longer_turns_is_not_alive(liveness, intake, redis, wall, clock):
    liveness.observe(intake, redis, wall)
    clock.now_s += STUCK_AFTER_S
    assert liveness.alive() == (True, [])
    clock.now_s += 1
    assert liveness.alive() == (False, ["the event loop has been blocked for 31 s"])
    assert liveness.ready()[0] is False


def test_a_shard_that_has_work_and_does_not_move_is_not_alive(liveness, intake, redis, wall):
    intake.shards.still_s = STUCK_AFTER_S + 1
    liveness.observe(intake, redis, wall)
    assert liveness.alive() == (False, ["shards [4] have not moved for 30 s"])
    assert liveness.ready() == (False, ["shards [4] have not moved for 30 s"])


@pytest.mark.parametrize("away", ["kafka", "redis"])
def test_while_a_server_is_away_a_restart_would_not_help(
    liveness, intake, redis, wall, clock, away
):
    intake.shards.still_s = STUCK_AFTER_S + 1
    if away == "kafka":
        clock.now_s += SILENT_AFTER_S
    else:
        redis.is_up = False
    liveness.observe(intake, redis, wall)
    assert liveness.alive() == (True, [])
    assert liveness.ready()[0] is False


# Clocks


def test_clocks_in_doubt_are_told_with_their_skews(liveness, intake, redis, wall, registry):
    wall.doubt, wall.skews_s = "clocks disagree", {"wall": 3600.0, "redis": -7.0}
    liveness.observe(intake, redis, wall)
    assert liveness.ready() == (False, ["clocks disagree"])
    assert liveness.alive() == (True, [])
    for clock, skew_s in wall.skews_s.items():
        told = registry.get_sample_value("cartwake_clock_skew_seconds", {"clock": clock})
        assert told == skew_s


# Whose fault is it?


def beat_for(seconds, liveness, intake, redis, wall, clock):
    """Beat for a while, in seconds."""
    for _ in range(int(seconds)):
        clock.now_s += 1
        liveness.observe(intake, redis, wall)


def test_a_silence_is_kafkas_until_a_fresh_client_is_served(liveness, intake, redis, wall):
    intake.mute, intake.mute_s = ["cart-events-3", "page-views-3"], STUCK_AFTER_S + 1
    liveness.observe(intake, redis, wall)
    silence = "fetches of cart-events-3 and 1 more have not been answered for 30 s"
    assert liveness.probe_reason() == silence
    assert liveness.alive() == (True, [])
    liveness.note_probe(ok=True)
    assert liveness.alive() == (False, [f"{silence}, although Kafka serves a new client"])


def test_while_a_fresh_client_is_not_served_either_nothing_is_suspected(
    liveness, intake, redis, wall, clock
):
    intake.mute, intake.mute_s = ["cart-events-3"], STUCK_AFTER_S + 1
    liveness.observe(intake, redis, wall)
    liveness.note_probe(ok=False)
    assert (liveness.probe_reason(), liveness.alive()) == ("", (True, []))
    beat_for(STUCK_AFTER_S, liveness, intake, redis, wall, clock)
    assert liveness.probe_reason() == ""
    beat_for(1, liveness, intake, redis, wall, clock)
    assert "fetches of cart-events-3 have not been answered" in liveness.probe_reason()


def test_an_answer_ends_the_suspicion_and_the_next_one_is_asked_about_anew(
    liveness, intake, redis, wall
):
    intake.mute, intake.mute_s = ["cart-events-3"], STUCK_AFTER_S + 1
    liveness.observe(intake, redis, wall)
    liveness.note_probe(ok=True)
    intake.mute_s = 0.0
    liveness.observe(intake, redis, wall)
    assert liveness.alive() == (True, [])
    intake.mute_s = STUCK_AFTER_S + 1
    liveness.observe(intake, redis, wall)
    assert liveness.alive() == (True, [])


def test_a_claim_that_never_ends_is_suspect_in_the_end(liveness, intake, redis, wall, clock):
    intake.is_settled = False
    beat_for(UNCLAIMED_AFTER_S, liveness, intake, redis, wall, clock)
    assert liveness.probe_reason() == ""
    beat_for(2, liveness, intake, redis, wall, clock)
    assert liveness.probe_reason() == "shards have not been claimed for 121 s"
    liveness.note_probe(ok=False)
    beat_for(UNCLAIMED_AFTER_S, liveness, intake, redis, wall, clock)
    assert liveness.probe_reason() == ""
    beat_for(1, liveness, intake, redis, wall, clock)
    liveness.note_probe(ok=True)
    assert liveness.alive()[0] is False
    intake.is_settled = True
    liveness.observe(intake, redis, wall)
    assert liveness.alive() == (True, [])


def test_a_claim_that_waits_for_redis_is_not_suspect(liveness, intake, redis, wall, clock):
    intake.is_settled, redis.is_up = False, False
    beat_for(2 * UNCLAIMED_AFTER_S, liveness, intake, redis, wall, clock)
    redis.is_up = True
    beat_for(UNCLAIMED_AFTER_S, liveness, intake, redis, wall, clock)
    assert liveness.probe_reason() == ""


def test_a_pipeline_that_never_begins_is_suspect_in_the_end(liveness, clock):
    clock.now_s += 10 * UNCLAIMED_AFTER_S
    assert liveness.probe_reason() == ""  # the servers are waited for
    liveness.pipeline_starts()
    clock.now_s += UNCLAIMED_AFTER_S + 1
    assert "shards have not been claimed" in liveness.probe_reason()
    assert liveness.alive() == (True, [])
    liveness.note_probe(ok=True)
    assert liveness.alive()[0] is False
    assert liveness.ready()[1][-1] == "the pipeline is starting"
