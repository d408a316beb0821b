"""Settings as they are made: defaults, bounds, and what does not fit together."""

import re

import pytest
from pydantic import ValidationError

from stream.config.edge import HOOKS
from stream.config.settings import SECTIONS, KafkaSettings, RedisSettings, Settings
from stream.errors import UsageError
from stream.mappers import VENDORS

CONTRACT = {
    "kafka": {"bootstrap": "localhost:9092", "partitions": 12, "replication": 1},
    "redis": {"url": "redis://localhost:6379/0"},
    "worker": {
        "group": "cartwake",
        "session_timeout_s": 8,
        "metrics_port": 9464,
        "clock": "live",
        "metrics_host": "127.0.0.1",
    },
    "dead_letters": {"max_in_a_row": 100, "max_share": 0.05},
    "cart_abandonment": {
        "idle_s": 1800,
        "steps_s": (0, 86400, 259200),
        "min_value_minor": 0,
        "max_age_s": 259200,
    },
    "exit_intent": {"min_dwell_ms": 4000, "cooldown_s": 604800},
    "session": {"idle_s": 1800},
    "learning": {"horizon_s": 3600},
    "holdout": {"fraction": 0.05, "salt": "cartwake"},
    "edge": {"listen": "127.0.0.1:8080", "metrics_host": "127.0.0.1"},
    "emailer": {"at_once": 1, "cap_s": 16 * 3600, "metrics_host": "127.0.0.1"},
    "webhooks": {"allow_private": False, "metrics_host": "127.0.0.1"},
}


def test_by_default_everything_is_as_the_contract_says():
    known = Settings().model_dump()
    assert list(known) == list(Settings.model_fields)
    assert known.keys() == CONTRACT.keys() == SECTIONS.keys()
    for section, names in CONTRACT.items():
        assert known[section] | names == known[section]


def test_settings_cannot_be_changed_and_cannot_be_made_wrong():
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.kafka = KafkaSettings()
    with pytest.raises(ValidationError, match="idle_s"):
        SECTIONS["cart_abandonment"](idle_s=0)
    assert hash(settings) == hash(Settings())


@pytest.mark.parametrize(
    "url", ["redis://ann:secret@cache", "redis://:@cache", "redis://cache?db=1&password=secret"]
)
def test_a_password_in_the_url_and_another_are_one_too_many(url):
    with pytest.raises(
        UsageError, match=r"redis\.url has a password, and redis\.password is"
    ) as no:
        RedisSettings(url=url, password="secret")
    assert "secret" not in str(no.value)


@pytest.mark.parametrize("url", ["redis://ann@cache", "rediss+cluster://ann@a:1,b:2?protocol=3"])
def test_a_name_in_the_url_and_a_password_beside_it_are_a_login(url):
    assert RedisSettings(url=url, password="secret").password == "secret"


@pytest.mark.parametrize("url", ["redis://cache", "redis+cluster://cache", "unix:///redis.sock"])
def test_an_authority_for_a_redis_without_tls_is_refused(url):
    with pytest.raises(UsageError, match=rf"redis\.url {re.escape(url)} does not use redis\.ssl"):
        RedisSettings(url=url, ssl_cafile="ca.pem")


@pytest.mark.parametrize(
    ("kafka", "expected"),
    [
        ({"sasl_username": "a"}, '"PLAINTEXT" does not use kafka.sasl_username'),
        ({"sasl_password": "a"}, '"PLAINTEXT" does not use kafka.sasl_password'),
        ({"ssl_cafile": "a"}, '"PLAINTEXT" does not use kafka.ssl_cafile'),
        ({"security_protocol": "SASL_SSL"}, '"SASL_SSL" needs kafka.sasl_username'),
        (
            {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "a"},
            '"SASL_PLAINTEXT" needs kafka.sasl_password',
        ),
    ],
)
def test_a_login_that_would_be_half_or_silently_unused_is_refused(kafka, expected):
    with pytest.raises(UsageError, match=expected):
        KafkaSettings(**kafka)


def test_an_address_without_login_is_shown_as_it_is():
    assert RedisSettings().address == "redis://localhost:6379/0"


def test_every_vendor_of_whom_we_read_may_have_a_webhook():
    assert set(HOOKS) == set(VENDORS)
