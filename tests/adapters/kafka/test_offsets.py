"""When records were written, found on a real broker without reading one."""

import time

import pytest
from aiokafka import TopicPartition

from stream.adapters.kafka.administer import admin_client
from stream.adapters.kafka.offsets import CLOSE_MS, have_records_after, written_ms
from stream.config.settings import KafkaSettings

DAY_MS = 86_400_000
COUNT = 500


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def topic(kafka_server, topic_prefix) -> str:
    name = f"{topic_prefix}log"
    kafka_server.create_topics([name], 2)
    return name


def admin(kafka):
    return admin_client(KafkaSettings(bootstrap=kafka.bootstrap))


async def found(kafka, tp: TopicPartition, offset: int, at_ms: int) -> int:
    return (await written_ms(admin(kafka), {tp: offset}, at_ms))[tp]


@pytest.mark.parametrize("step_ms", [1, 700, 60_000])
async def test_a_record_s_timestamp_is_found_by_its_offset(kafka_server, topic, step_ms):
    end_ms = now_ms()
    stamps = [end_ms - (COUNT - number) * step_ms for number in range(COUNT)]
    kafka_server.produce(topic, [(None, b"x", stamp, None, 0) for stamp in stamps])
    tp = TopicPartition(topic, 0)
    for offset in (0, 1, 250, COUNT - 1):
        told = await found(kafka_server, tp, offset, end_ms)
        assert abs(told - stamps[offset]) <= CLOSE_MS


async def test_records_of_the_same_moment_have_it_all(kafka_server, topic):
    at_ms = now_ms() - DAY_MS
    kafka_server.produce(topic, [(None, b"x", at_ms, None, 0)] * 10)
    told = await found(kafka_server, TopicPartition(topic, 0), 5, now_ms())
    assert abs(told - at_ms) <= CLOSE_MS


async def test_a_late_record_counts_as_the_latest_before_it(kafka_server, topic):
    at_ms = now_ms()
    stamps = [at_ms - 50_000, at_ms - 40_000, at_ms - 90_000, at_ms - 10_000]
    kafka_server.produce(topic, [(None, b"x", stamp, None, 0) for stamp in stamps])
    told = await found(kafka_server, TopicPartition(topic, 0), 2, at_ms)
    assert abs(told - stamps[1]) <= CLOSE_MS


async def test_a_record_from_the_future_was_written_now(kafka_server, topic):
    at_ms = now_ms()
    kafka_server.produce(topic, [(None, b"x", at_ms + 600_000, None, 0)])
    told = await found(kafka_server, TopicPartition(topic, 0), 0, at_ms)
    assert at_ms - CLOSE_MS <= told <= at_ms


async def test_several_partitions_are_asked_together_and_none_is_right(kafka_server, topic):
    at_ms = now_ms()
    kafka_server.produce(topic, [(None, b"x", at_ms - 1000, None, 0)])
    kafka_server.produce(topic, [(None, b"x", at_ms - 9000, None, 1)])
    parts = {TopicPartition(topic, number): 0 for number in (0, 1)}
    told = await written_ms(admin(kafka_server), parts, at_ms)
    assert await written_ms(admin(kafka_server), {}, at_ms) == {}
    ages = [at_ms - told[TopicPartition(topic, number)] for number in (0, 1)]
    assert ages == [pytest.approx(1000, abs=CLOSE_MS), pytest.approx(9000, abs=CLOSE_MS)]


async def test_partitions_with_later_records_are_told_apart(kafka_server, topic):
    at_ms = now_ms()
    kafka_server.produce(topic, [(None, b"x", at_ms, None, 0)])
    kafka_server.produce(topic, [(None, b"x", at_ms + 1, None, 1)])
    parts = [TopicPartition(topic, number) for number in (0, 1)]
    asked = admin(kafka_server)
    assert await have_records_after(asked, parts, at_ms) == {parts[1]}
    assert await have_records_after(asked, parts, at_ms + 1) == set()
