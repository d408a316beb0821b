"""What the log does with a producer; with a real Kafka it is in tests/edge/test_serve.py."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from stream.adapters.kafka import writer
from stream.config.settings import KafkaSettings
from stream.edge.collector import append as append_module
from stream.edge.collector.append import KafkaEventLog, LogUnavailable
from stream.edge.collector.prepare import PreparedRecord

VIEW = PreparedRecord("page-views", b"v", b"{}")
CONSENT = PreparedRecord("consent-events", b"v", b"{}")


class FakeProducer:
    """Takes records at once, and acknowledges them by hand."""

    def __init__(self):
        self.sent = []
        self.acknowledgements = []

    async def send(self, topic, value, key):
        self.sent.append(topic)
        self.acknowledgements.append(asyncio.get_running_loop().create_future())
        return self.acknowledgements[-1]

    def acknowledge(self):
        for one in self.acknowledgements:
            if not one.done():
                one.set_result(None)


@pytest.fixture
def producer(monkeypatch):
    producer = FakeProducer()
    monkeypatch.setattr(writer, "AIOKafkaProducer", lambda **_: producer)
    return producer


@pytest.fixture
def told():
    return []


@pytest.fixture
def log(producer, told):
    log = KafkaEventLog(KafkaSettings(), told.append)
    log._writer.is_up = True
    return log


async def begun(log, *records):
    task = asyncio.create_task(log.append(records))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_nothing_is_sent_before_the_consent_that_may_allow_it_is_stored(log, producer):
    task = await begun(log, VIEW, CONSENT, VIEW)
    assert producer.sent == ["consent-events"]
    producer.acknowledge()
    for _ in range(5):
        await asyncio.sleep(0)
    assert producer.sent == ["consent-events", "page-views", "page-views"]
    assert not task.done()
    producer.acknowledge()
    await task


async def test_what_is_not_acknowledged_is_not_taken_and_nobody_waits_after_it(
    log, producer, told, monkeypatch
):
    monkeypatch.setattr(writer, "ACKNOWLEDGE_WITHIN_S", 0.01)
    with pytest.raises(LogUnavailable):
        await log.append([VIEW])
    assert (log.is_up, told) == (False, [False])
    with pytest.raises(LogUnavailable):
        await log.append([VIEW])
    assert producer.sent == ["page-views"]


async def test_one_record_that_kafka_refuses_refuses_all(log, producer):
    task = await begun(log, VIEW, VIEW)
    producer.acknowledgements[1].set_exception(KafkaConnectionError())
    with pytest.raises(LogUnavailable):
        await task


async def test_more_than_memory_should_hold_is_not_taken(log, producer, monkeypatch):
    monkeypatch.setattr(append_module, "MOST_WAITING", 2)
    task = await begun(log, VIEW, VIEW)
    with pytest.raises(LogUnavailable):
        await log.append([VIEW])
    producer.acknowledge()
    await task
    again = await begun(log, VIEW)
    producer.acknowledge()
    await again


async def test_consent_has_room_of_its_own(log, producer, monkeypatch):
    monkeypatch.setattr(append_module, "MOST_WAITING", 2)
    waiting = await begun(log, VIEW, VIEW)
    consent = await begun(log, CONSENT)
    mixed = await begun(log, VIEW, CONSENT)
    assert producer.sent == ["page-views", "page-views", "consent-events", "consent-events"]
    producer.acknowledge()
    await waiting
    await consent
    with pytest.raises(LogUnavailable):  # its consent is stored, its view is not
        await mixed
    assert producer.sent.count("page-views") == 2


async def test_what_waits_counts_for_its_bytes(log, monkeypatch):
    monkeypatch.setattr(append_module, "MOST_WAITING", 2)
    with pytest.raises(LogUnavailable):
        await log.append([VIEW._replace(value=b"x" * 3000)])
