import time

import pytest

from stream.domain.events import TOPICS
from stream.edge.kafka import reach
from stream.edge.kafka.witness import serves
from stream.settings import Kafka, Settings, Worker
from tests.rig.processes import LOOPBACK, free_port

WITHIN_S = 10.0


@pytest.fixture
def settings(empty_kafka, group):
    empty_kafka.create_topics([*TOPICS, "training-examples"], 2)
    return Settings(kafka=Kafka(bootstrap=empty_kafka.bootstrap), worker=Worker(group=group))


def test_a_kafka_that_has_all_that_a_worker_needs_serves(settings):
    assert serves(settings)


def test_a_kafka_that_is_away_or_silent_does_not_serve_and_is_not_waited_for(
    settings, empty_kafka, group, monkeypatch
):
    monkeypatch.setattr(reach, "ANSWER_S", 2.0)
    away = Kafka(bootstrap=f"{LOOPBACK}:{free_port()}")
    assert not serves(Settings(kafka=away, worker=Worker(group=group)))
    began = time.monotonic()
    empty_kafka.pause()
    try:
        assert not serves(settings)
    finally:
        empty_kafka.resume()
    assert time.monotonic() - began < WITHIN_S


def test_a_kafka_without_the_topics_does_not_serve(empty_kafka, group):
    kafka = Kafka(bootstrap=empty_kafka.bootstrap)
    assert not serves(Settings(kafka=kafka, worker=Worker(group=group)))
