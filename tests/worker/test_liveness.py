import logging

import pytest
from prometheus_client import CollectorRegistry

from stream.runtime import heartbeat
from stream.worker import liveness as module
from stream.worker.liveness import SILENT_AFTER_S, STUCK_AFTER_S, UNSETTLED_AFTER_S, Vitals
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
    return steady(monkeypatch, module, heartbeat)


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def vitals(clock, registry):
    return Vitals(Metrics(registry), KAFKA)


@pytest.fixture
def intake(clock):
    return Intake(clock)


@pytest.fixture
def redis():
    return Redis()


@pytest.fixture
def wall():
    return Wall()


def test_a_starting_worker_lives_and_is_not_ready(vitals):
    assert vitals.alive() == (True, [])
    assert vitals.ready() == (False, ["the worker is starting"])


def test_a_start_says_what_it_waits_for(vitals):
    vitals.waits_for("waiting for Redis at here:1")
    assert vitals.ready() == (False, ["waiting for Redis at here:1"])


def test_the_wait_for_the_start_has_no_end(vitals, clock):
    clock.now_s += 10 * STUCK_AFTER_S
    assert vitals.alive() == (True, [])


def test_with_its_shards_and_both_servers_it_is_ready(vitals, intake, redis, wall, registry):
    vitals.beat(intake, redis, wall)
    assert vitals.ready() == (True, [])
    assert registry.get_sample_value("cartwake_kafka_up") == 1
    assert registry.get_sample_value("cartwake_redis_up") == 1


def test_each_beat_tells_how_the_shards_stand(vitals, intake, redis, wall):
    vitals.beat(intake, redis, wall)
    vitals.beat(intake, redis, wall)
    assert intake.shards.observed == 2


def test_shards_that_are_not_claimed_yet_are_waited_for(vitals, intake, redis, wall):
    intake.is_settled = False
    vitals.beat(intake, redis, wall)
    assert vitals.ready() == (False, ["shards are not claimed yet"])


def test_a_stopped_shard_is_named(vitals, intake, redis, wall):
    intake.shards.stopped = {7: "why", 3: "why"}
    vitals.beat(intake, redis, wall)
    assert vitals.ready() == (False, ["shards [3, 7] are stopped"])
    assert vitals.alive() == (True, [])


def test_a_redis_that_is_away_is_named_by_its_address(vitals, intake, redis, wall, registry):
    redis.is_up = False
    vitals.beat(intake, redis, wall)
    assert vitals.ready() == (False, ["Redis at redis.shop.example:6379 does not answer"])
    assert registry.get_sample_value("cartwake_redis_up") == 0


def test_a_silent_kafka_is_named_and_mentioned_once_as_is_its_return(
    vitals, intake, redis, wall, clock, registry, caplog
):
    caplog.set_level(logging.WARNING)
    vitals.beat(intake, redis, wall)
    for _ in range(3):
        clock.now_s += SILENT_AFTER_S
        vitals.beat(intake, redis, wall)
    assert vitals.ready() == (False, [f"Kafka at {KAFKA} does not answer"])
    assert registry.get_sample_value("cartwake_kafka_up") == 0
    intake.answered = clock.now_s
    for _ in range(3):
        vitals.beat(intake, redis, wall)
    assert vitals.ready() == (True, [])
    assert [record.getMessage() for record in caplog.records] == [
        f"Kafka at {KAFKA} does not answer; waiting for it",
        f"Kafka at {KAFKA} answers again",
    ]


def test_while_nothing_is_read_yet_kafka_is_not_called_silent(vitals, intake, redis, wall, clock):
    intake.is_settled = False
    clock.now_s += 10 * SILENT_AFTER_S
    vitals.beat(intake, redis, wall)
    assert vitals.ready() == (False, ["shards are not claimed yet"])


def test_where_nothing_is_assigned_kafka_is_not_called_silent(vitals, intake, redis, wall, clock):
    intake.is_idle = True
    clock.now_s += 10 * SILENT_AFTER_S
    vitals.beat(intake, redis, wall)
    assert vitals.ready() == (True, [])


def test_an_event_loop_that_no_longer_turns_is_not_alive(vitals, intake, redis, wall, clock):
    vitals.beat(intake, redis, wall)
    clock.now_s += STUCK_AFTER_S
    assert vitals.alive() == (True, [])
    clock.now_s += 1
    assert vitals.alive() == (False, ["the event loop has not turned for 31 s"])
    assert vitals.ready()[0] is False


def test_a_shard_that_has_work_and_does_not_move_is_not_alive(vitals, intake, redis, wall):
    intake.shards.still_s = STUCK_AFTER_S + 1
    vitals.beat(intake, redis, wall)
    assert vitals.alive() == (False, ["shards [4] have not moved for 30 s"])
    assert vitals.ready() == (False, ["shards [4] have not moved for 30 s"])


@pytest.mark.parametrize("away", ["kafka", "redis"])
def test_while_a_server_is_away_a_restart_would_not_help(vitals, intake, redis, wall, clock, away):
    intake.shards.still_s = STUCK_AFTER_S + 1
    if away == "kafka":
        clock.now_s += SILENT_AFTER_S
    else:
        redis.is_up = False
    vitals.beat(intake, redis, wall)
    assert vitals.alive() == (True, [])
    assert vitals.ready()[0] is False


# Clocks


def test_clocks_in_doubt_are_told_with_their_skews(vitals, intake, redis, wall, registry):
    wall.doubt, wall.skews_s = "clocks disagree", {"wall": 3600.0, "redis": -7.0}
    vitals.beat(intake, redis, wall)
    assert vitals.ready() == (False, ["clocks disagree"])
    assert vitals.alive() == (True, [])
    for clock, skew_s in wall.skews_s.items():
        told = registry.get_sample_value("cartwake_clock_skew_seconds", {"clock": clock})
        assert told == skew_s


# Whose fault is it?


def beat_for(seconds, vitals, intake, redis, wall, clock):
    """Beat for a while, in seconds."""
    for _ in range(int(seconds)):
        clock.now_s += 1
        vitals.beat(intake, redis, wall)


def test_a_silence_is_kafkas_until_a_fresh_client_is_served(vitals, intake, redis, wall):
    intake.mute, intake.mute_s = ["cart-events-3", "page-views-3"], STUCK_AFTER_S + 1
    vitals.beat(intake, redis, wall)
    silence = "fetches of cart-events-3 and 1 more have not been answered for 30 s"
    assert vitals.suspicion() == silence
    assert vitals.alive() == (True, [])
    vitals.told(is_served=True)
    assert vitals.alive() == (False, [f"{silence}, though Kafka serves others"])


def test_while_a_fresh_client_is_not_served_either_nothing_is_suspected(
    vitals, intake, redis, wall, clock
):
    intake.mute, intake.mute_s = ["cart-events-3"], STUCK_AFTER_S + 1
    vitals.beat(intake, redis, wall)
    vitals.told(is_served=False)
    assert (vitals.suspicion(), vitals.alive()) == ("", (True, []))
    beat_for(STUCK_AFTER_S, vitals, intake, redis, wall, clock)
    assert vitals.suspicion() == ""
    beat_for(1, vitals, intake, redis, wall, clock)
    assert "fetches of cart-events-3 have not been answered" in vitals.suspicion()


def test_an_answer_ends_the_suspicion_and_the_next_one_is_asked_about_anew(
    vitals, intake, redis, wall
):
    intake.mute, intake.mute_s = ["cart-events-3"], STUCK_AFTER_S + 1
    vitals.beat(intake, redis, wall)
    vitals.told(is_served=True)
    intake.mute_s = 0.0
    vitals.beat(intake, redis, wall)
    assert vitals.alive() == (True, [])
    intake.mute_s = STUCK_AFTER_S + 1
    vitals.beat(intake, redis, wall)
    assert vitals.alive() == (True, [])


def test_a_claim_that_never_ends_is_suspect_in_the_end(vitals, intake, redis, wall, clock):
    intake.is_settled = False
    beat_for(UNSETTLED_AFTER_S, vitals, intake, redis, wall, clock)
    assert vitals.suspicion() == ""
    beat_for(2, vitals, intake, redis, wall, clock)
    assert vitals.suspicion() == "shards have not been claimed for 121 s"
    vitals.told(is_served=False)
    beat_for(UNSETTLED_AFTER_S, vitals, intake, redis, wall, clock)
    assert vitals.suspicion() == ""
    beat_for(1, vitals, intake, redis, wall, clock)
    vitals.told(is_served=True)
    assert vitals.alive()[0] is False
    intake.is_settled = True
    vitals.beat(intake, redis, wall)
    assert vitals.alive() == (True, [])


def test_a_claim_that_waits_for_redis_is_not_suspect(vitals, intake, redis, wall, clock):
    intake.is_settled, redis.is_up = False, False
    beat_for(2 * UNSETTLED_AFTER_S, vitals, intake, redis, wall, clock)
    redis.is_up = True
    beat_for(UNSETTLED_AFTER_S, vitals, intake, redis, wall, clock)
    assert vitals.suspicion() == ""


def test_a_pipeline_that_never_begins_is_suspect_in_the_end(vitals, clock):
    clock.now_s += 10 * UNSETTLED_AFTER_S
    assert vitals.suspicion() == ""  # the servers are waited for
    vitals.begins()
    clock.now_s += UNSETTLED_AFTER_S + 1
    assert "shards have not been claimed" in vitals.suspicion()
    assert vitals.alive() == (True, [])
    vitals.told(is_served=True)
    assert vitals.alive()[0] is False
    assert vitals.ready()[1][-1] == "the pipeline is starting"
