"""What a command or a starting worker is told by a Kafka that demands a login and TLS."""

import asyncio
import logging

import pytest

from stream.adapters.kafka.administer import ask
from stream.adapters.kafka.connect import metadata, partition_counts
from stream.adapters.kafka.require import require
from stream.config.loading import load
from stream.domain.topics import LANES
from stream.errors import CartwakeError
from tests.rig.processes import LOOPBACK, free_port
from tests.rig.secure_kafka import SCRAM

WORKER = "cartwake-worker"


@pytest.fixture(autouse=True)
def topics(secure_kafka):
    absent = {*LANES, "triggers"} - secure_kafka.topics().keys()
    if absent:
        secure_kafka.create_topics(absent, 2)


@pytest.fixture
def settings(secure_kafka):
    """Return the settings of the worker, with other values where a test says so."""
    return lambda protocol="SASL_SSL", **other: load(
        None, secure_kafka.settings(WORKER, protocol, **other)
    )


def counts(settings):
    return partition_counts(ask(settings, metadata(settings)))


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", *SCRAM])
def test_every_login_is_good_with_and_without_tls(settings, protocol, mechanism):
    assert counts(settings(protocol, sasl_mechanism=mechanism))["triggers"] > 0


def test_tls_alone_is_enough_where_the_broker_asks_for_no_login(settings):
    assert counts(settings("SSL"))["triggers"] > 0


def refusal(settings):
    with pytest.raises(CartwakeError) as refused:
        counts(settings)
    message = str(refused.value)
    assert message.startswith(f"Kafka at {settings.kafka.bootstrap} ")
    assert "\n" not in message
    assert "secret" not in message
    return message.removeprefix(f"Kafka at {settings.kafka.bootstrap} ")


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", *SCRAM])
def test_a_wrong_password_is_one_clear_line_without_it(settings, protocol, mechanism):
    wrong = settings(protocol, sasl_mechanism=mechanism, sasl_password="wrong-secret")
    assert refusal(wrong) == f"refuses this login of {WORKER} by {mechanism}"


def test_an_unknown_user_is_one_clear_line(settings):
    unknown = settings(sasl_username="nobody")
    assert refusal(unknown) == "refuses this login of nobody by SCRAM-SHA-512"


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_a_broker_that_no_known_authority_vouches_for_is_one_clear_line(settings, protocol):
    assert refusal(settings(protocol, ssl_cafile="")).startswith(
        "has a certificate that is not to be trusted: "
    )


def test_a_broker_of_another_name_is_not_trusted(settings, secure_kafka):
    # The name leads to the same broker, whose certificate says 127.0.0.1 and localhost.
    other = secure_kafka.addresses["SASL_SSL"].replace(LOOPBACK, "127.1")
    assert "not to be trusted: " in refusal(settings(bootstrap=other))


def test_a_broker_without_tls_is_told_from_one_that_is_away(settings, secure_kafka):
    plain = settings(bootstrap=secure_kafka.bootstrap)
    assert refusal(plain) == "cannot be reached, or does not speak SASL_SSL there"


def test_one_address_that_refuses_explains_it_though_others_are_away(settings, secure_kafka):
    addresses = f"{LOOPBACK}:{free_port()}, {secure_kafka.addresses['SASL_SSL']}"
    wrong = settings(bootstrap=addresses, sasl_password="wrong-secret")
    assert refusal(wrong).startswith("refuses this login")


async def test_a_refused_login_leaves_no_socket_open(settings):
    watched = asyncio.get_running_loop()._selector.get_map()
    before = len(watched)
    for _ in range(4):  # who hangs up first is a matter of chance
        with pytest.raises(CartwakeError, match="refuses this login"):
            await metadata(settings(sasl_password="wrong-secret"))
        assert len(watched) == before


async def test_a_starting_worker_does_not_wait_for_a_login_that_is_refused(settings):
    with pytest.raises(CartwakeError, match="refuses this login"):
        await require(settings(sasl_password="wrong-secret"), pytest.fail)


def test_no_password_is_logged(settings, caplog):
    caplog.set_level(logging.DEBUG)
    counts(settings())
    refusal(settings(sasl_password="wrong-secret"))
    assert "secret" not in caplog.text
