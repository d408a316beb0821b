import pytest

from stream.adapters.wire.facts import attempt_of, read
from stream.domain.policy import FUTURE_MS, LATENESS_MS
from stream.domain.visitor import VisitorKey
from stream.shard.clock import Fact
from stream.shard.ports import DeadLetter
from tests.adapters.wire.examples import value_of
from tests.scenarios.world import Record

AT = 1_470_000_000_000
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def record(value=None, key=b"v1", topic="page-views", offset=0, timestamp=AT):
    return Record(topic, 3, offset, timestamp, key, value_of() if value is None else value)


def only(one):
    (found,) = read([one])
    return found


def test_a_record_becomes_a_fact_about_its_visitor():
    fact = only(record(value_of(tenant="shop"), timestamp=AT + 7))
    assert isinstance(fact, Fact)
    assert fact.key == VisitorKey("shop", "v1")
    assert (fact.at_ms, fact.record_ms, fact.topic, fact.bot) == (AT, AT + 7, "page-views", False)
    assert fact.event.url == "/"


@pytest.mark.parametrize(
    ("timestamp", "at_ms"),
    [
        (AT, AT),
        (AT + LATENESS_MS, AT),
        (AT + LATENESS_MS + 1, AT + 1),
        (AT - FUTURE_MS, AT),
        (AT - FUTURE_MS - 1, AT - 1),
    ],
)
def test_event_time_is_held_near_its_records_timestamp(timestamp, at_ms):
    assert only(record(timestamp=timestamp)).at_ms == at_ms


@pytest.mark.parametrize("timestamp", [-1, -5])
def test_a_log_without_timestamps_says_nothing_of_lateness(timestamp):
    fact = only(record(timestamp=timestamp))
    assert (fact.at_ms, fact.record_ms) == (AT, AT)


def test_the_producers_receipt_time_is_not_read_from_a_log():
    fact = only(record(value_of(received_at_ms=AT + 9 * LATENESS_MS)))
    assert (fact.at_ms, fact.record_ms) == (AT, AT)


@pytest.mark.parametrize(
    ("context", "bot"),
    [
        (None, False),
        ({}, False),
        ({"user_agent": BROWSER}, False),
        ({"user_agent": ""}, False),
        ({"user_agent": CRAWLER}, True),
        ({"bot": True}, True),
        ({"bot": True, "user_agent": BROWSER}, True),
        ({"bot": False, "user_agent": CRAWLER}, True),
    ],
)
def test_bots_are_told_by_the_producer_or_by_their_user_agent(context, bot):
    assert only(record(value_of(context=context))).bot is bot


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"key": None}, "bad_key"),
        ({"key": b"v2"}, "bad_key"),
        ({"key": b""}, "bad_key"),
        ({"value": b""}, "empty"),
        ({"value": b"{"}, "malformed"),
        ({"value": b"[]"}, "not_an_object"),
        ({"value": b"\xff"}, "not_utf8"),
        ({"value": b" " * 70_000}, "too_large"),
        ({"value": b'{"type":"x"}'}, "unknown_type"),
        ({"topic": "cart-events"}, "wrong_topic"),
        ({"value": value_of(at_ms="now")}, "invalid"),
        ({"value": value_of(visitor="a@b.test")}, "email_as_visitor"),
    ],
)
def test_what_can_never_be_processed_is_a_dead_letter_with_its_bytes(bad, reason):
    one = record(**bad, offset=5)
    dead = only(one)
    assert isinstance(dead, DeadLetter)
    assert (dead.topic, dead.partition, dead.offset) == (one.topic, 3, 5)
    assert (dead.key, dead.value, dead.reason) == (one.key, one.value, reason)
    assert dead.detail
    assert (dead.attempt, dead.appended_ms) == (1, AT)


def test_a_record_without_a_value_is_a_dead_letter():
    dead = only(Record("page-views", 3, 0, -1, b"v1", None))
    assert (dead.reason, dead.value, dead.appended_ms) == ("empty", None, None)


def test_dead_letters_leave_their_neighbours_alone_and_in_order():
    inputs = read([record(), record(b"{", offset=1), record(offset=2), record(key=None, offset=3)])
    assert [type(one) for one in inputs] == [Fact, DeadLetter, Fact, DeadLetter]


def test_a_visitor_beyond_ascii_is_its_own_key():
    fact = only(record(value_of(visitor="käthe"), key="käthe".encode()))
    assert fact.key.visitor == "käthe"


class Headed(Record):
    """A record with headers, as Kafka's client hands it out."""

    headers = (("attempt", b"2"), ("other", None))


def test_a_record_that_died_before_tells_how_often():
    dead = only(Headed("page-views", 3, 0, AT, b"v1", b"{"))
    assert dead.attempt == 2


@pytest.mark.parametrize(
    ("told", "attempt"), [(b"7", 7), (b"999", 999), (b"1000", 1), (b"-3", 1), (b"", 1), (None, 1)]
)
def test_an_absurd_number_of_attempts_is_not_believed(told, attempt):
    assert attempt_of({"attempt": told}) == attempt
