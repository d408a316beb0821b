"""The administrator's client: what it reports of topics, and how it fails."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream.adapters.kafka import administer
from stream.adapters.kafka.administer import admin_client, ask, failed, topic_configs
from stream.config.loading import load
from stream.config.settings import KafkaSettings, Settings
from stream.errors import CartwakeError
from tests.rig.processes import LOOPBACK, free_port


async def test_the_settings_of_a_topic_are_those_that_are_checked(kafka_server, topic_prefix):
    name = f"{topic_prefix}log"
    kafka_server.create_topics([name], 1, {"retention.ms": "7200000"})
    admin = admin_client(KafkaSettings(bootstrap=kafka_server.bootstrap))
    configs, refused = await topic_configs(admin, [name, f"{name}-missing"])
    assert configs.keys() == {name}
    assert configs[name].keys() == set(administer.ASKED)
    assert configs[name]["retention.ms"] == "7200000"
    assert refused.keys() == {f"{name}-missing"}
    assert await topic_configs(admin, []) == ({}, {})


async def test_settings_that_a_user_may_not_read_have_the_broker_s_reason(secure_kafka):
    if "page-views" not in secure_kafka.topics():
        secure_kafka.create_topics(["page-views"], 1)
    settings = load(None, secure_kafka.settings("cartwake-worker"))
    configs, refused = await topic_configs(admin_client(settings.kafka), ["page-views"])
    assert configs == {}
    assert refused == {"page-views": "Topic authorization failed"}


def test_a_broker_that_is_down_is_one_line_and_librdkafka_prints_nothing(monkeypatch, capfd):
    monkeypatch.setattr(administer, "ANSWER_S", 0.5)
    settings = Settings(kafka=KafkaSettings(bootstrap=f"{LOOPBACK}:{free_port()}"))
    with pytest.raises(CartwakeError) as failure:
        ask(settings, topic_configs(admin_client(settings.kafka), ["page-views"]))
    where = f"Kafka at {settings.kafka.bootstrap}"
    assert str(failure.value) == f"{where} has stopped answering (timed out)"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (KafkaError._TRANSPORT, "has stopped answering (transport)"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, "failed: cluster authorization failed"),
    ],
)
def test_an_error_of_the_client_is_distinguished_from_an_answer_of_the_broker(code, words):
    line = str(failed(Settings(), KafkaException(KafkaError(code))))
    assert words in line
    assert "\n" not in line
