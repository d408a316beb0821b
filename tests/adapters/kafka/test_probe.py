import time

import pytest

from stream.adapters.kafka import connect
from stream.adapters.kafka.probe import serves
from stream.config.settings import KafkaSettings, Settings
from stream.domain.topics import LANES
from tests.rig.processes import LOOPBACK, free_port

WITHIN_S = 10.0


@pytest.fixture
def settings(empty_kafka):
    empty_kafka.create_topics(LANES, 2)
    return Settings(kafka=KafkaSettings(bootstrap=empty_kafka.bootstrap))


def test_a_kafka_that_has_all_that_is_asked_for_serves(settings, group):
    assert serves(settings, tuple(LANES), group)


def test_a_kafka_that_is_away_or_silent_does_not_serve_and_is_not_waited_for(
    settings, empty_kafka, group, monkeypatch
):
    monkeypatch.setattr(connect, "ANSWER_S", 2.0)
    away = Settings(kafka=KafkaSettings(bootstrap=f"{LOOPBACK}:{free_port()}"))
    assert not serves(away, tuple(LANES), group)
    began = time.monotonic()
    empty_kafka.pause()
    try:
        assert not serves(settings, tuple(LANES), group)
    finally:
        empty_kafka.resume()
    assert time.monotonic() - began < WITHIN_S


def test_a_kafka_without_one_of_the_topics_does_not_serve(settings, group):
    assert not serves(settings, (*LANES, "triggers"), group)
