"""The trainer between its topic and its store, and the workers that adopt what it has learnt."""

import logging

import pytest
from aiokafka import ConsumerRecord
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from stream.adapters.wire.codec import encode_record
from stream.domain.predictions import AFTER_ADD, MODELS
from stream.learning.scorer import ModelScorer
from stream.learning.snapshot import NewerSnapshot, UnreadableSnapshot
from stream.learning.trainer import Trainer
from stream.worker import training as module
from stream.worker.metrics import Metrics
from stream.worker.training import AT_ONCE, Serving, Training
from tests.adapters.wire.test_outgoing import EXAMPLE

SECRET = "zoe@shop.example"
FEATURES = {"bias": 1.0, "pages": 0.5}


class Models:
    """Implements ``stream.worker.training.Models`` in memory; ``unreadable`` is the store's."""

    def __init__(self):
        self.snapshot, self.unreadable, self.newer, self.loads = None, False, False, 0

    async def load(self):
        self.loads += 1
        if self.newer:
            raise NewerSnapshot("they have format 2")
        if self.unreadable:
            raise UnreadableSnapshot("snapshot is of format 0")
        return self.snapshot

    async def offset(self):
        return self.snapshot.offset if self.snapshot else None

    async def save(self, snapshot, learnt_from):
        if await self.offset() != learnt_from:
            return False
        self.snapshot, self.unreadable = snapshot, False
        return True


@pytest.fixture
def models():
    return Models()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return Metrics(registry)


@pytest.fixture
def training(models, metrics):
    return Training(models, metrics)


@pytest.fixture
def said(caplog):
    """Return what has been said, when called."""
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def record(offset, value=None):
    if value is None:
        value = encode_record(replace(EXAMPLE, features=FEATURES, label=bool(offset % 2)))
    return ConsumerRecord(
        "training-examples", 0, offset, 0, 0, AFTER_ADD.encode(), value, None, 0, 0, ()
    )


def records(start, stop):
    return [record(offset) for offset in range(start, stop)]


def taught(count):
    trainer = Trainer()
    for offset in range(count):
        trainer.learn(replace(EXAMPLE, features=FEATURES, label=bool(offset % 2)), offset)
    return trainer.snapshot()


async def learn(training, *some):
    training.accept(some)
    while batch := training.take():
        await training.learn(batch)


async def test_without_stored_models_learning_begins_where_the_topic_does(training):
    assert await training.claim(3) == 3
    assert training.is_owned


async def test_learning_goes_on_where_the_stored_models_stand(training, models):
    models.snapshot = taught(5)
    assert await training.claim(0) == 5
    await learn(training, *records(5, 8))
    await training.save()
    assert models.snapshot == taught(8)


async def test_examples_that_were_deleted_before_they_were_learnt_are_passed_over(training, models):
    models.snapshot = taught(5)
    assert await training.claim(9) == 9


async def test_what_is_read_twice_teaches_once(training, models):
    await training.claim(0)
    await learn(training, *records(0, 6), *records(2, 6), *records(6, 7))
    await training.save()
    assert models.snapshot == taught(7)


async def test_learning_tells_how_well_the_models_do(training, registry):
    await training.claim(0)
    await learn(training, *records(0, 60))
    assert registry.get_sample_value("cartwake_model_log_loss", {"model": AFTER_ADD}) > 0
    auc = registry.get_sample_value("cartwake_model_roc_auc", {"model": AFTER_ADD})
    assert 0 <= auc <= 1


async def test_whoever_trains_no_more_tells_nothing_of_how_well_the_models_do(training, registry):
    await training.claim(0)
    await learn(training, *records(0, 60))
    training.forget()
    for metric in ("cartwake_model_log_loss", "cartwake_model_roc_auc"):
        assert registry.get_sample_value(metric, {"model": AFTER_ADD}) is None


async def test_a_record_from_elsewhere_teaches_nothing_and_is_not_repeated(training, models, said):
    await training.claim(0)
    await learn(training, record(0), record(1, SECRET.encode()), record(2, b""), record(3))
    await training.save()
    assert models.snapshot.versions[AFTER_ADD] == 2
    assert models.snapshot.offset == 4
    assert [line for line in said() if "is no training example" in line] == [
        f"Offset {offset} is no training example: $: not a training example" for offset in (1, 2)
    ]


async def test_while_a_batch_is_learnt_no_other_is_handed_out(training):
    await training.claim(0)
    training.accept(records(0, 2))
    batch = training.take()
    training.accept(records(2, 3))
    assert training.take() == []
    await training.learn(batch)
    assert [it.offset for it in training.take()] == [2]


async def test_a_backlog_is_learnt_in_pieces_between_which_others_get_their_turn(training):
    await training.claim(0)
    training.accept(records(0, AT_ONCE + 1))
    first = training.take()
    assert len(first) == AT_ONCE
    await training.learn(first)
    assert [it.offset for it in training.take()] == [AT_ONCE]


async def test_with_enough_at_hand_no_more_is_to_be_fetched(training, monkeypatch):
    monkeypatch.setattr(module, "FULL", 2)
    await training.claim(0)
    training.accept(records(0, 2))
    assert not training.is_full
    training.accept(records(2, 3))
    assert training.is_full


async def test_nothing_is_stored_while_nothing_was_learnt(training, models):
    await training.claim(0)
    await training.save()
    assert models.snapshot is None


async def test_another_trainers_models_are_not_overwritten(training, models, said):
    await training.claim(0)
    await learn(training, *records(0, 3))
    models.snapshot = taught(2)
    await training.save()
    assert models.snapshot == taught(2)
    assert not training.is_owned
    assert said() == ["Another worker trains the models; this one stops"]
    await learn(training, *records(3, 9))
    await training.save()
    assert models.snapshot == taught(2)


@pytest.mark.parametrize("left", [None, 2], ids=["all of it", "its last seconds"])
async def test_models_that_the_store_has_lost_are_stored_again(training, models, said, left):
    await training.claim(0)
    await learn(training, *records(0, 5))
    await training.save()
    models.snapshot = None if left is None else taught(left)
    await learn(training, *records(5, 6))
    await training.save()
    await training.save()
    assert models.snapshot == taught(6)
    assert said() == ["The stored models were lost; storing them again"]


async def test_models_that_cannot_be_read_are_learnt_again_and_replaced(training, models, said):
    models.snapshot, models.unreadable = taught(5), True
    assert await training.claim(0) == 0
    await learn(training, *records(0, 7))
    await training.save()
    assert (models.unreadable, models.snapshot) == (False, taught(7))
    assert said() == [
        "The stored models cannot be read (snapshot is of format 0); learning again from the topic"
    ]


async def test_models_of_a_newer_version_are_neither_replaced_nor_trained(training, models, said):
    newer, models.newer = taught(3), True
    models.snapshot = newer
    assert await training.claim(5) == 5
    assert not training.is_owned
    await learn(training, *records(5, 9))
    await training.save()
    assert models.snapshot is newer
    (line,) = said()
    assert line == (
        "A newer version has written the models: they have format 2. Upgrade this worker: it does"
        " not train"
    )


async def test_a_trainer_that_was_given_back_learns_and_stores_nothing(training, models):
    await training.claim(0)
    training.accept(records(0, 3))
    batch = training.take()
    training.forget()
    await training.learn(batch)
    training.accept(records(0, 3))
    assert training.take() == []
    await training.save()
    assert models.snapshot is None
    assert not training.is_owned


async def test_after_a_new_claim_examples_are_handed_out_again(training):
    await training.claim(0)
    training.accept(records(0, 3))
    training.take()  # Faust drops it in a rebalance
    training.forget()
    await training.claim(0)
    training.accept(records(0, 3))
    assert len(training.take()) == 3


# Serving


@pytest.fixture
def scorer():
    return ModelScorer()


@pytest.fixture
def serving(models, scorer, metrics):
    return Serving(models, scorer, metrics)


async def test_newer_models_are_adopted_and_their_version_is_told(
    serving, models, scorer, registry
):
    version = ("cartwake_model_version", {"model": AFTER_ADD})
    assert registry.get_sample_value(*version) == 0
    for count in (4, 9):
        models.snapshot = taught(count)
        await serving.refresh()
        assert scorer(AFTER_ADD, FEATURES).version == count
        assert registry.get_sample_value(*version) == count


async def test_models_are_loaded_only_where_they_have_changed(serving, models):
    await serving.refresh()
    models.snapshot = taught(4)
    for _ in range(3):
        await serving.refresh()
    assert models.loads == 1


async def test_models_that_cannot_be_read_leave_those_at_hand(serving, models, scorer):
    models.snapshot = taught(4)
    await serving.refresh()
    models.snapshot, models.unreadable = taught(6), True
    await serving.refresh()
    assert scorer(AFTER_ADD, FEATURES).version == 4


async def test_models_that_were_lost_leave_those_at_hand(serving, models, scorer):
    models.snapshot = taught(4)
    await serving.refresh()
    models.snapshot = None
    await serving.refresh()
    assert {name: scorer(name, FEATURES).version for name in MODELS}[AFTER_ADD] == 4
