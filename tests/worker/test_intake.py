"""Claiming what is assigned, while assignments come and go and servers answer or don't."""

import asyncio
import logging

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError
from faust.types import TP

from stream.domain.topics import LANES
from stream.shard.merge import Mark
from stream.worker import intake as module
from stream.worker.claimed import PartitionOffsets
from stream.worker.faust.fetch import Fetched
from stream.worker.intake import EXAMPLES, Intake
from tests.rig.clocks import steady
from tests.scenarios.world import MINUTE, T0, consented, refused
from tests.worker.ashore import DUE_MS, LEFT_CART, Bench, write


def shard(*numbers):
    return {TopicPartition(topic, number) for number in numbers for topic in LANES}


class Trainer:
    """What the intake asks of the trainer; its models stand at offset 40."""

    def __init__(self):
        self.claimed, self.accepted, self.saved, self.is_owned = [], [], 0, False
        self.is_full = False
        self.waiting = []
        self.saving = asyncio.Event()
        self.saving.set()

    async def claim(self, start):
        self.claimed.append(start)
        self.is_owned = True
        return max(40, start)

    def accept(self, records):
        self.accepted += records

    def take(self):
        taken, self.waiting = self.waiting, []
        return taken

    async def save(self):
        await self.saving.wait()
        self.saved += 1

    def forget(self):
        self.is_owned = False


class Kafka:
    """What claiming asks of the consumer; ``answers`` are errors first, then limits."""

    def __init__(self, bench):
        self._bench = bench
        self.answers, self.asked, self.sought = [], [], []
        self.meanwhile = lambda: None

    async def limits(self, tps):
        self.asked.append(set(tps))
        self.meanwhile()
        if self.answers:
            raise self.answers.pop(0)
        return {
            tp: self._bench.limits(tp.partition).get(tp.topic, PartitionOffsets(7, 90, 0))
            for tp in tps
        }

    async def seek_to(self, offsets):
        self.sought.append(dict(offsets))


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def trainer():
    return Trainer()


@pytest.fixture
def kafka(bench):
    return Kafka(bench)


@pytest.fixture
def intake(bench, trainer):
    return Intake(bench.shards, trainer)


def epochs(bench):
    return {number: kept.epoch for number, kept in bench.store._shards.items()}


async def test_each_assigned_shard_is_claimed_once_and_read_from_where_its_state_ends(
    intake, kafka, bench
):
    bench.logs[1].write(consented(T0))
    intake.assign(shard(0, 1))
    assert intake.needs_claim()
    assert not intake.is_settled
    await intake.claim(kafka)
    assert not intake.needs_claim()
    assert intake.is_settled
    assert kafka.asked == [shard(0, 1)]
    assert kafka.sought == [dict.fromkeys(shard(0, 1), 0)]
    assert epochs(bench) == {0: 1, 1: 1}


async def test_an_assignment_in_fausts_own_words_is_understood(intake, kafka, bench):
    intake.assign({TP(tp.topic, tp.partition) for tp in shard(0)})
    await intake.claim(kafka)
    assert epochs(bench) == {0: 1}


async def test_every_assignment_is_a_new_claim_even_of_the_same_shards(intake, kafka, bench):
    for _ in range(2):
        intake.assign(shard(0))
        await intake.claim(kafka)
    assert epochs(bench) == {0: 2}
    assert len(bench.shards) == 1


async def test_an_empty_assignment_leaves_nothing_to_claim(intake):
    assert not intake.is_settled
    intake.assign(set())
    assert intake.is_settled
    assert intake.is_idle
    assert not intake.needs_claim()


async def test_what_nobody_reads_is_sought_all_the_same(intake, kafka, bench, trainer):
    """Without a position aiokafka asks for one for ever, and fetches nothing else meanwhile."""
    other = TopicPartition("training-examples", 1)
    intake.assign(shard(0) | {other})
    await intake.claim(kafka)
    assert kafka.sought[0][other] == 90
    assert kafka.sought[0].keys() == shard(0) | {other}
    assert (trainer.claimed, len(bench.shards)) == ([], 1)


async def test_the_trainers_topic_is_read_from_where_the_models_stand(intake, kafka, trainer):
    intake.assign(shard(0) | {EXAMPLES})
    await intake.claim(kafka)
    assert trainer.claimed == [7]
    assert kafka.sought[0][EXAMPLES] == 40


async def test_a_shard_that_is_assigned_in_part_is_stopped_and_the_others_are_claimed(
    intake, kafka, bench, caplog
):
    absent = [topic for topic in LANES if topic != "cart-events"]
    intake.assign(shard(0) | {TopicPartition("cart-events", 1)})
    await intake.claim(kafka)
    assert bench.shards.stopped == {1: f"it was assigned without {', '.join(absent)}"}
    assert "workers of two versions that read different topics" in caplog.text
    assert epochs(bench) == {0: 1}


async def test_without_one_of_its_topics_a_shard_is_stopped_and_not_claimed(intake, kafka, bench):
    intake.assign({tp for tp in shard(0, 1) if tp.topic != "cart-events"})
    await intake.claim(kafka)
    assert bench.shards.stopped == dict.fromkeys((0, 1), "it was assigned without cart-events")
    assert (epochs(bench), intake.needs_claim()) == ({}, False)
    assert all(at == 0 for at in kafka.sought[0].values())


@pytest.mark.parametrize("grown", [tuple(LANES), ("cart-events",), ("consent-events",)])
async def test_partitions_that_are_added_at_work_stop_all_shards_with_one_line(
    intake, kafka, bench, caplog, grown
):
    bench.partitions = dict.fromkeys(LANES, 2)
    write(bench, 0, *LEFT_CART)
    intake.assign(shard(0, 1))
    await intake.claim(kafka)
    await bench.work()
    bench.partitions |= dict.fromkeys(grown, 3)
    # By the new number of partitions her refusal is in another shard than her cart.
    write(bench, 2, refused(T0 + MINUTE, purpose="personalization"))
    caplog.clear()
    intake.assign(shard(0, 1, 2))
    await intake.claim(kafka)
    bench.now_ms = DUE_MS + 1
    await bench.work()
    assert bench.published("triggers") == []
    assert list(bench.shards.stopped) == [0, 1, 2]
    assert bench.value("shards_stopped") == 3
    (line,) = [one for one in caplog.messages if "stopped" in one]
    assert f"{grown[0]} has 3 partitions" in line
    assert "the stored state is that of 2" in line
    assert epochs(bench) == {0: 1, 1: 1}


async def test_a_lost_shard_that_is_claimed_again_finds_added_partitions_too(intake, kafka, bench):
    bench.partitions = dict.fromkeys(LANES, 2)
    intake.assign(shard(0, 1))
    await intake.claim(kafka)
    del bench.shards._owned[1]
    bench.shards.lost[1] = 0.0
    bench.partitions = dict.fromkeys(LANES, 3)
    await intake.claim(kafka)
    assert (list(bench.shards.stopped), len(bench.shards), bench.shards.lost) == ([0, 1], 0, {})


async def test_what_came_of_a_topic_that_was_made_anew_reaches_no_shard(intake, kafka, bench):
    intake.assign(shard(0))
    await intake.claim(kafka)
    bench.logs[0].write(consented(T0))
    fetched = bench.fetched()
    fetched.remade = {"cart-events"}
    intake.accept(fetched)
    assert list(bench.shards.stopped) == [0]
    assert intake.ready() == []


async def test_a_kafka_that_does_not_tell_offsets_is_asked_again_and_that_is_said_once(
    intake, kafka, monkeypatch, caplog
):
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(module, "RETRY_S", 0)
    kafka.answers = [KafkaTimeoutError(), KafkaConnectionError(), KafkaTimeoutError()]
    intake.assign(shard(0))
    await intake.claim(kafka)
    assert len(kafka.asked) == 4
    assert len(kafka.sought) == 1
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == "Kafka does not tell offsets (KafkaTimeoutError); asking again"


async def test_a_newer_assignment_during_a_claim_is_not_lost(intake, kafka, bench):
    intake.assign(shard(0, 1))
    kafka.meanwhile = lambda: intake.assign(shard(1, 2))
    await intake.claim(kafka)
    assert intake.needs_claim()
    kafka.meanwhile = lambda: None
    await intake.claim(kafka)
    assert not intake.needs_claim()
    assert len(bench.shards) == 2
    assert kafka.sought == [dict.fromkeys(shard(1, 2), 0)]


async def test_what_was_taken_away_during_a_claim_is_not_claimed_over_its_new_owner(
    intake, kafka, bench
):
    intake.assign(shard(0, 1, 2))
    claim = bench.store.claim

    async def claimed(number, policy):
        intake.assign(shard(0))  # the others are another worker's from now on
        return await claim(number, policy)

    bench.store.claim = claimed
    await intake.claim(kafka)
    assert epochs(bench) == {0: 1}
    assert kafka.sought == []
    bench.store.claim = claim
    await intake.claim(kafka)
    assert (epochs(bench), len(bench.shards)) == ({0: 2}, 1)


async def test_giving_back_during_a_claim_ends_it(intake, kafka, bench, trainer):
    intake.assign(shard(0, 1) | {EXAMPLES})
    claim = bench.store.claim

    async def claimed(number, policy):
        owner = await claim(number, policy)
        await intake.finish()
        return owner

    bench.store.claim = claimed
    await intake.claim(kafka)
    assert epochs(bench) == {0: 1}
    assert (len(bench.shards), trainer.claimed, kafka.sought) == (0, [], [])
    assert not intake.needs_claim()
    assert not intake.is_settled


async def test_a_lost_shard_is_claimed_again_and_the_others_are_not(intake, kafka, bench):
    intake.assign(shard(0, 1))
    await intake.claim(kafka)
    bench.shards._owned.pop(1)
    bench.shards.lost[1] = 0.0
    assert intake.needs_claim()
    assert not intake.is_settled
    await intake.claim(kafka)
    assert epochs(bench) == {0: 1, 1: 2}
    assert kafka.sought[1] == dict.fromkeys(shard(1), 0)
    assert intake.is_settled


async def test_a_fenced_shard_makes_the_worker_unready_and_waits_for_its_moment(
    intake, kafka, bench
):
    intake.assign(shard(0, 1))
    await intake.claim(kafka)
    bench.shards._owned.pop(1)
    bench.shards.lost[1] = float("inf")
    assert (intake.is_settled, intake.needs_claim()) == (False, False)
    intake.assign(shard(0, 1))
    await intake.claim(kafka)
    assert intake.is_settled


async def test_nothing_is_claimed_again_while_shards_are_given_back(intake, kafka, bench):
    intake.assign(shard(0))
    await intake.claim(kafka)
    await intake.finish()
    bench.shards.lost[0] = 0.0
    assert not intake.needs_claim()


async def test_finishing_waits_for_steps_and_stores_what_was_learnt(intake, kafka, trainer):
    intake.assign(shard(0) | {EXAMPLES})
    await intake.claim(kafka)
    await intake.finish()
    assert trainer.saved == 1
    assert not intake.is_settled
    assert intake.ready() == []


async def test_models_that_cannot_be_stored_hold_up_no_rebalance(intake, trainer, monkeypatch):
    monkeypatch.setattr(module, "FINISH_WITHIN_S", 0)
    trainer.saving.clear()
    await intake.finish()
    assert trainer.saved == 0


async def test_what_a_poll_brings_goes_to_its_shard_and_to_the_trainer(
    intake, kafka, bench, trainer
):
    bench.logs[0].write(consented(T0))
    intake.assign(shard(0) | {EXAMPLES})
    await intake.claim(kafka)
    for _ in range(2):
        fetched = bench.fetched()
        fetched.records[EXAMPLES] = ["example"]
        intake.accept(fetched)
    assert trainer.accepted == ["example"] * 2
    trainer.waiting = ["example"]
    (turn, [owned]), (learning, examples) = intake.ready()
    # Faust knows a shard by the partition of the agent's first topic.
    assert turn == TopicPartition(next(iter(LANES)), 0)
    assert owned.number == 0
    assert (learning, examples) == (EXAMPLES, ["example"])


async def test_only_a_good_answer_counts_as_kafkas(intake):
    before = intake.answered
    intake.accept(Fetched({}, {}, [], 1.0))
    assert intake.answered == before
    intake.accept(Fetched({}, {}, [(EXAMPLES, Mark(1.0, 1, 0))], 1.0))
    assert intake.answered > before


async def test_a_trainer_with_enough_at_hand_is_brought_no_more(intake, trainer):
    assert intake.full() == set()
    trainer.is_full = True
    assert intake.full() == {EXAMPLES}


# Partitions that are not answered


@pytest.fixture
def clock(monkeypatch):
    return steady(monkeypatch, module)


def answers(*tps):
    return Fetched({}, {}, [(tp, Mark(0.0, T0, 0)) for tp in tps], 0.0)


async def test_a_partition_whose_fetches_are_not_answered_is_named(intake, kafka, clock):
    intake.assign(shard(3))
    await intake.claim(kafka)
    clock.now_s += 31
    mute, *others = sorted(shard(3))
    intake.accept(answers(*others))
    assert intake.silent(30) == [f"{mute.topic}-{mute.partition}"]
    assert intake.silent(31) == []
    intake.accept(answers(mute))
    assert intake.silent(30) == []


async def test_a_partition_that_is_not_fetched_is_not_silent(intake, kafka, clock, trainer):
    trainer.is_full = True
    intake.assign({EXAMPLES})
    await intake.claim(kafka)
    clock.now_s += 100
    assert intake.silent(30) == []
    trainer.is_full = False
    clock.now_s += 31
    assert intake.silent(30) == ["training-examples-0"]


async def test_what_was_given_back_is_not_missed(intake, kafka, clock):
    intake.assign(shard(0))
    await intake.claim(kafka)
    intake.assign(set())
    intake.accept(answers(*shard(0)))  # asked for before
    clock.now_s += 100
    assert intake.silent(30) == []
