import pytest

from stream.adapters.redis.connection import Connection
from stream.adapters.redis.models import RedisModels
from stream.domain.predictions import AFTER_ADD
from stream.domain.records import Example
from stream.learning.snapshot import UnreadableSnapshot
from stream.learning.trainer import Trainer


@pytest.fixture
async def connection(redis_server):
    made = Connection(redis_server.url)
    yield made
    await made.close()


@pytest.fixture
def models(connection, group):
    return RedisModels(connection, group)


def taught(examples):
    """Return the snapshot of a trainer that has learnt so many examples."""
    trainer = Trainer()
    for number in range(examples):
        features = {"bias": 1.0, "n": number / 10}
        example = Example(
            example_id=f"{number:032x}",
            model=AFTER_ADD,
            features=features,
            label=bool(number % 2),
            predicted=0.5,
            version=number,
            at_ms=number,
        )
        trainer.learn(example, number)
    return trainer.snapshot()


async def test_where_nothing_was_stored_there_is_nothing(models):
    assert await models.load() is None
    assert await models.offset() is None


async def test_a_snapshot_comes_back_with_its_offset(models):
    snapshot = taught(5)
    assert await models.save(snapshot, None)
    assert await models.load() == snapshot
    assert await models.offset() == snapshot.offset == 5


async def test_a_snapshot_is_stored_over_the_one_it_has_learnt_on_from(models):
    await models.save(taught(5), None)
    assert await models.save(taught(8), 5)
    assert await models.load() == taught(8)


async def test_another_trainers_models_are_not_overwritten(models):
    await models.save(taught(5), None)
    assert not await models.save(taught(3), None)
    assert not await models.save(taught(9), 4)
    assert await models.load() == taught(5)


async def test_a_snapshot_that_builds_on_a_lost_one_is_refused(models):
    assert not await models.save(taught(5), 3)
    assert await models.load() is None


async def test_storing_the_same_snapshot_again_is_no_conflict(models):
    assert await models.save(taught(5), None)
    assert await models.save(taught(5), None)
    assert await models.save(taught(8), 5)
    assert await models.save(taught(8), 5)


async def test_groups_have_models_of_their_own(models, connection, group):
    other = RedisModels(connection, f"{group}-other")
    await models.save(taught(5), None)
    assert await other.load() is None


async def test_models_that_cannot_be_read_still_tell_their_offset(models, connection, group):
    await models.save(taught(5), None)
    await connection.client.hset(f"{group}:models", "snapshot", b"\x80\x04K\x01.")
    with pytest.raises(UnreadableSnapshot):
        await models.load()
    assert await models.offset() == 5
    assert await models.save(taught(6), 5)
    assert await models.load() == taught(6)
