"""Telling an outcome until Kafka has it."""

import pytest
from aiokafka.errors import KafkaConnectionError, NotEnoughReplicasError

from stream.config.settings import KafkaSettings
from stream.delivery import outcome_writer as module
from stream.delivery.outcome_writer import OutcomeWriter
from tests.delivery.triggers import trigger, was_sent


class Producer:
    """Fails as often as it has failures left; ``teller`` is asked at each try."""

    def __init__(self):
        self.failures, self.sent, self.heard, self.teller = [], [], [], None

    def _try(self):
        self.heard.append(self.teller.is_heard)
        if self.failures:
            raise self.failures.pop()

    async def start(self):
        self._try()

    async def send_and_wait(self, topic, value, key):
        self._try()
        self.sent.append((topic, key))


@pytest.fixture
def producer():
    return Producer()


@pytest.fixture
async def teller(producer, monkeypatch):
    monkeypatch.setattr(module, "AIOKafkaProducer", lambda **_: producer)
    monkeypatch.setattr(module, "TRY_AGAIN_S", 0.001)
    producer.teller = OutcomeWriter(KafkaSettings())
    return producer.teller


async def test_it_is_told_again_until_kafka_has_it_and_known_to_be_unheard_meanwhile(
    teller, producer
):
    producer.failures = [TimeoutError(), NotEnoughReplicasError()]
    await teller.tell(was_sent(trigger("1")))
    assert producer.sent == [("message-feedback", b"anna")]
    assert producer.heard == [True, False, False]
    assert teller.is_heard


async def test_the_start_waits_for_kafka_and_is_known_to_be_unheard_meanwhile(teller, producer):
    producer.failures = [KafkaConnectionError()]
    await teller.start()
    assert producer.heard == [True, False]
    assert teller.is_heard
