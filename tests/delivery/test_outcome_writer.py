"""Writing an outcome until Kafka has it."""

import pytest
from aiokafka.errors import KafkaConnectionError, NotEnoughReplicasError

from stream.adapters.kafka import writer as module
from stream.config.settings import KafkaSettings
from stream.delivery.outcome_writer import OutcomeWriter
from stream.runtime import retry
from tests.delivery.triggers import trigger, was_sent


class Producer:
    """Fails as often as it has failures left; the writer is asked whether it is up at each try."""

    def __init__(self):
        self.failures, self.sent, self.was_up, self.outcomes = [], [], [], None

    def _try(self):
        self.was_up.append(self.outcomes.is_up)
        if self.failures:
            raise self.failures.pop()

    async def start(self):
        self._try()

    async def send(self, topic, value, key):
        self._try()
        self.sent.append((topic, key))

        async def acknowledged():
            pass

        return acknowledged()


@pytest.fixture
def producer():
    return Producer()


@pytest.fixture
async def outcomes(producer, monkeypatch):
    monkeypatch.setattr(module, "AIOKafkaProducer", lambda **_: producer)
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 0.001)
    producer.outcomes = OutcomeWriter(KafkaSettings())
    return producer.outcomes


async def test_an_outcome_is_written_again_until_kafka_has_it(outcomes, producer):
    await outcomes.start()
    producer.failures = [TimeoutError(), NotEnoughReplicasError()]
    await outcomes.write(was_sent(trigger("1")))
    assert producer.sent == [("message-feedback", b"anna")]
    assert producer.was_up == [False, True, False, False]
    assert outcomes.is_up


async def test_the_start_waits_for_kafka(outcomes, producer):
    producer.failures = [KafkaConnectionError()]
    await outcomes.start()
    assert producer.was_up == [False, False]
    assert outcomes.is_up
