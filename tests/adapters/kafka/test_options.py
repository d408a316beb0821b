"""Settings as Kafka's clients take them."""

import logging
import ssl

import faust
import pytest
from aiokafka import AIOKafkaConsumer
from faust.types.auth import AuthProtocol, SASLMechanism
from yarl import URL

from stream.adapters.kafka.options import (
    LARGEST_REQUEST_BYTES,
    client_options,
    quiet_clients,
)
from stream.adapters.kafka.topic_rules import LARGEST_BYTES
from stream.config.settings import KafkaSettings, Settings, WorkerSettings
from stream.errors import UsageError
from stream.worker.faust.options import faust_options
from tests.faults.rows.row_01_crash_loop import TAKEN_OVER_WITHIN_S

# Nobody's: made for this test, its key thrown away.
AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBhTCCASugAwIBAgIUetc3uZGccR+A6mfLj9x4hjupFe4wCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMc2hvcC5leGFtcGxlMCAXDTI2MTEyMjE0NTcwOFoYDzIxMjYx
MDI5MTQ1NzA4WjAXMRUwEwYDVQQDDAxzaG9wLmV4YW1wbGUwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAQMyVKEex9gk35K852LBK3LKPeQ8K6kzos0vhomXRuRCF5C
Avkz95ClS+X/CYll3mGE6gwuhPq/9AbR5p7F1yhao1MwUTAdBgNVHQ4EFgQUlMJ/
F5JbjoxnsxM22zy6UZ0wWZ8wHwYDVR0jBBgwFoAUlMJ/F5JbjoxnsxM22zy6UZ0w
WZ8wDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiA0vf9NvBWpOP1U
T6aWiHSZ+ZJFEMcfuoEITubvBptBNAIhAPQ05diUiQXZfEIyBGovkm3+ewcTUqqM
E+MqtrUvzvNy
-----END CERTIFICATE-----
"""
LOGIN = {"sasl_username": "cartwake", "sasl_password": "hush"}


@pytest.fixture
def authority(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text(AUTHORITY)
    return str(file)


def test_without_tls_and_login_there_is_only_an_address():
    assert client_options(KafkaSettings(bootstrap="a:1,b:2")) == {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": "PLAINTEXT",
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_login_is_passed_on_and_needs_no_tls(mechanism):
    kafka = KafkaSettings(security_protocol="SASL_PLAINTEXT", sasl_mechanism=mechanism, **LOGIN)
    assert client_options(kafka) == {
        "bootstrap_servers": "localhost:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "cartwake",
        "sasl_plain_password": "hush",
    }


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_tls_verifies_the_broker_against_the_authority_that_was_named(protocol, authority):
    login = LOGIN if protocol == "SASL_SSL" else {}
    kafka = KafkaSettings(security_protocol=protocol, ssl_cafile=authority, **login)
    context = client_options(kafka)["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    (known,) = context.get_ca_certs()
    assert known["subject"] == ((("commonName", "shop.example"),),)


def test_an_authority_that_is_none_is_refused_in_one_line(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("hello\n")
    with pytest.raises(UsageError) as refused:
        client_options(KafkaSettings(security_protocol="SSL", ssl_cafile=str(file)))
    assert str(refused.value).startswith(f"kafka.ssl_cafile: {file} is not PEM: ")
    assert "\n" not in str(refused.value)


async def test_aiokafka_takes_the_options_as_they_are(authority):
    kafka = KafkaSettings(security_protocol="SASL_SSL", ssl_cafile=authority, **LOGIN)
    consumer = AIOKafkaConsumer(**client_options(kafka))
    await consumer.stop()


def test_faust_takes_the_options_as_they_are():
    options = faust_options(Settings(kafka=KafkaSettings(bootstrap="a:1, b:2")))
    app = faust.App("options", **options)
    assert app.conf.broker == [URL("aiokafka://a:1"), URL("aiokafka://b:2")]
    for name, value in options.items():
        assert getattr(app.conf, name) == value


def test_a_login_without_tls_is_fausts_too():
    kafka = KafkaSettings(
        security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-256", **LOGIN
    )
    credentials = faust_options(Settings(kafka=kafka))["broker_credentials"]
    assert credentials.protocol is AuthProtocol.SASL_PLAINTEXT
    assert credentials.mechanism is SASLMechanism.SCRAM_SHA_256
    assert (credentials.username, credentials.password) == ("cartwake", "hush")


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_tls_is_fausts_too(protocol, authority):
    login = LOGIN if protocol == "SASL_SSL" else {}
    kafka = KafkaSettings(security_protocol=protocol, ssl_cafile=authority, **login)
    credentials = faust_options(Settings(kafka=kafka))["broker_credentials"]
    assert credentials.protocol is AuthProtocol[protocol]
    context = credentials.context if protocol == "SSL" else credentials.ssl_context
    assert len(context.get_ca_certs()) == 1


def test_without_tls_and_login_faust_has_no_credentials():
    assert faust_options(Settings())["broker_credentials"] is None


@pytest.mark.parametrize("session_s", [1, 8, 30, 1800])
def test_several_heartbeats_may_be_lost_before_a_session_ends(session_s):
    options = faust_options(Settings(worker=WorkerSettings(session_timeout_s=session_s)))
    assert options["broker_session_timeout"] == session_s
    assert options["broker_heartbeat_interval"] * 3 < session_s
    assert options["broker_rebalance_timeout"] >= session_s
    # Faust refuses anything else, and would so with a traceback.
    assert options["broker_request_timeout"] > options["broker_rebalance_timeout"]


def test_a_dead_workers_shards_wait_for_little_more_than_its_session():
    settings = Settings()
    # Others learn that its session has ended from a heartbeat, and of who joins next from another.
    waits_s = settings.worker.session_timeout_s
    waits_s += 2 * faust_options(settings)["broker_heartbeat_interval"]
    assert waits_s < TAKEN_OVER_WITHIN_S


def test_what_the_producer_takes_the_topics_take():
    options = faust_options(Settings())
    assert options["producer_max_request_size"] == LARGEST_REQUEST_BYTES < LARGEST_BYTES


def test_the_clients_say_nothing_that_we_say_ourselves(caplog):
    before = {name: logging.getLogger(name).level for name in ("aiokafka", "faust", "mode")}
    try:
        quiet_clients()
        for name in before:
            logging.getLogger(f"{name}.some.part").error("away")
        assert caplog.records == []
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
