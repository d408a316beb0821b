"""Dead letters on a real broker: what people are shown, and what goes back."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from stream.adapters.kafka import reader
from stream.adapters.kafka.connect import partition_counts
from stream.adapters.kafka.options import client_options
from stream.adapters.wire.facts import read
from stream.adapters.wire.outgoing import outgoing, rfc3339
from stream.admin import dead_letters
from stream.admin.dead_letters import list_, replay, show
from stream.admin.topics import create
from stream.config.settings import KafkaSettings, Settings
from stream.errors import CartwakeError
from stream.shard.clock import Fact
from stream.shard.ports import DeadLetter
from tests.rig.processes import LOOPBACK, free_port, run_cartwake

PARTITIONS = 3
DAY_MS = 86_400_000
NOW_MS = time.time_ns() // 1_000_000
INPUTS = ("page-views", "cart-events", "consent-events")
SECRET = "zoe-4711"  # the visitor in every key and value


def event(number: int = 1, kind: str = "telepathy_received") -> bytes:
    fields = {"type": kind, "id": f"e{number}", "visitor": SECRET, "at_ms": NOW_MS}
    return json.dumps(fields | {"url": f"/{number}"}).encode()


@pytest.fixture
def settings(empty_kafka) -> Settings:
    settings = Settings(kafka=KafkaSettings(bootstrap=empty_kafka.bootstrap, partitions=PARTITIONS))
    create(settings, lambda _: None)
    return settings


@pytest.fixture
def shop(empty_kafka, settings):
    return Shop(empty_kafka, settings)


class Shop:
    """Producers of inputs, and as much of a worker as makes dead letters."""

    def __init__(self, kafka, settings) -> None:
        self.kafka = kafka
        self.settings = settings
        self.read_up_to: dict[tuple[str, int], int] = {}

    def send(self, topic, key, *values, at_ms=NOW_MS) -> None:
        self.kafka.produce(topic, [(key, value, at_ms, None, None) for value in values])

    def work(self) -> list[Fact | DeadLetter]:
        """Read what is new, and publish what died."""
        new = [record for topic in INPUTS for record in self.new(topic)]
        facts = read([Read(record) for record in new])
        self.bury(*[fact for fact in facts if isinstance(fact, DeadLetter)])
        return facts

    def new(self, topic):
        found = [
            record
            for record in self.kafka.read_all(topic)
            if record.offset >= self.read_up_to.get((topic, record.partition), 0)
        ]
        for record in found:
            self.read_up_to[topic, record.partition] = record.offset + 1
        return found

    def bury(self, *letters: DeadLetter, died_ms=None, more=()) -> None:
        when = died_ms or time.time_ns() // 1_000_000
        entries = [outgoing(letter, NOW_MS, "/cartwake/test") for letter in letters]
        records = [(it.key, it.value, when, [*it.headers, *more], None) for it in entries]
        if records:
            self.kafka.produce("dead-letters", records)

    def listed(self, **options) -> list[str]:
        lines: list[str] = []
        assert list_(self.settings, say=lines.append, **options) == 0
        return lines

    def replayed(self, **options) -> list[str]:
        lines: list[str] = []
        assert replay(self.settings, say=lines.append, **options) == 0
        return lines

    def inputs(self) -> int:
        return sum(sum(self.kafka.end_offsets(topic).values()) for topic in INPUTS)


class Read:
    """A record as the worker's client gives it: headers are pairs."""

    def __init__(self, message) -> None:
        self._message = message
        self.timestamp = message.timestamp_ms
        self.headers = tuple(message.headers.items())

    def __getattr__(self, name):
        return getattr(self._message, name)


def dead(value: bytes | None = b"{", key: bytes | None = SECRET.encode(), **more) -> DeadLetter:
    known = {"topic": "cart-events", "partition": 1, "offset": 42, "key": key, "value": value}
    why = {"reason": "malformed", "detail": "value: not one JSON value"}
    return DeadLetter(**(known | why | more))


# list


def test_each_dead_letter_is_one_line_the_oldest_first(shop):
    shop.bury(dead(offset=7, detail="value: torn"), died_ms=1_790_000_000_000)
    shop.bury(dead(reason="bad_key", detail="key: missing", key=None), died_ms=1_780_000_000_000)
    assert shop.listed() == [
        "2026-05-28T20:26:40.000Z  cart-events-1-42  bad_key  attempt 1  key: missing",
        "2026-09-21T14:13:20.000Z  cart-events-1-7  malformed  attempt 1  value: torn",
        "2 dead letters: 1 bad_key, 1 malformed",
        "        1  bad_key",
        "        1  malformed",
    ]


def test_the_reasons_follow_with_their_counts_the_commonest_first(shop):
    shop.bury(dead(reason="bad_key"), *[dead(offset=n) for n in range(3)])
    assert shop.listed()[-2:] == ["        3  malformed", "        1  bad_key"]


def test_keys_and_values_are_never_shown(shop, capfd):
    shop.send("page-views", SECRET.encode(), event())
    shop.send("page-views", b"other", event())
    shop.send("cart-events", SECRET.encode(), b"\xff" + event())
    shop.work()
    lines = [*shop.listed(), *shop.replayed(dry_run=True), *shop.replayed()]
    assert sum("page-views" in line for line in lines) == 4
    assert SECRET not in "\n".join(lines) + "".join(capfd.readouterr())


def test_reason_and_since_choose(shop):
    shop.bury(dead(offset=1, value=b"1"), died_ms=NOW_MS - 3 * DAY_MS)
    shop.bury(dead(offset=2, value=b"2"), dead(offset=3, value=b"3", reason="invalid"))
    since = datetime.now(UTC) - timedelta(days=1)
    lines = shop.listed(reason="malformed", since=since)
    assert [line.split("  ")[1] for line in lines[:-1]] == ["cart-events-1-2"]
    shop.replayed(reason="malformed", since=since)
    assert [record.value for record in shop.kafka.read_all("cart-events")] == [b"2"]


def test_a_reason_that_no_letter_has_shows_those_there_are(shop):
    shop.bury(dead())
    assert shop.listed(reason="malfromed") == [
        "0 dead letters",
        "the others: 1 dead letter: 1 malformed",
    ]


def test_an_empty_topic_has_no_dead_letters(shop):
    assert shop.listed() == ["0 dead letters"]
    assert shop.replayed() == ["sent back: 0 dead letters"]


def test_what_other_programs_wrote_is_neither_believed_nor_shown(shop):
    theirs = [
        ("__streams.errors.topic", b"cart-events"),
        ("__streams.errors.partition", b"1"),
        ("__streams.errors.offset", b"1"),
        ("__streams.errors.exception", b"org.example.NoSuchShopper"),
        ("__streams.errors.message", f"cannot read {SECRET}".encode()),
    ]
    shop.kafka.produce("dead-letters", [(b"k", b"v", NOW_MS, theirs, None)])
    shop.kafka.produce("dead-letters", [(None, None, NOW_MS, None, None)])
    expected = "records in dead-letters that Cartwake did not write: 2"
    assert shop.listed() == [expected, "0 dead letters"]
    assert shop.replayed() == [expected, "sent back: 0 dead letters"]


def test_a_terminal_is_not_given_orders(shop):
    shop.bury(dead(reason="\x1b[2J", detail="\x07bell\nnext line"))
    line, *_ = shop.listed()
    assert line.isprintable()


# show


def shown(shop, place="cart-events-1-42", **options):
    lines = []
    assert show(shop.settings, place, lines.append, **options) == 0
    return lines


def test_all_that_is_known_of_one_is_shown_but_key_and_value(shop):
    shop.bury(dead(), dead(offset=43), died_ms=NOW_MS)
    lines = shown(shop)
    lies_at = lines.pop(4)
    assert lies_at.startswith("lies at     dead-letters-")
    assert lines == [
        "record      cart-events-1-42",
        "reason      malformed: value: not one JSON value",
        f"died        {rfc3339(NOW_MS)}, attempt 1",
        "written     unknown",
        "key         8 bytes",
        "value       1 bytes",
        "replay      would go back as attempt 2",
    ]


def test_key_and_value_are_shown_to_who_asks_for_them_and_give_a_terminal_no_orders(shop):
    shop.bury(dead("\x1b[2J\u202eé\n".encode() + b"\xff", appended_ms=NOW_MS, attempt=3))
    lines = shown(shop, value=True)
    assert f"            b'{SECRET}'" in lines
    assert r"            b'\x1b[2J\xe2\x80\xae\xc3\xa9\n\xff'" in lines
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert lines[-1] == "replay      left (died 3 times)"


def test_a_missing_key_is_none_and_a_letter_that_was_published_twice_is_shown_twice(shop):
    shop.bury(dead(key=None))
    shop.bury(dead(key=None))
    lines = shown(shop, value=True)
    assert lines.count("key         none") == 2


def test_a_letter_that_is_not_there_is_told(shop):
    shop.bury(dead())
    with pytest.raises(CartwakeError, match="dead-letters has no letter of cart-events-1-7"):
        show(shop.settings, "cart-events-1-7")


# replay


def test_what_an_older_worker_did_not_know_passes_the_normal_path(shop):
    known_now = event(kind="page_viewed")
    shop.bury(dead(known_now, topic="page-views", reason="unknown_type"))
    assert shop.replayed() == ["sent back: 1 dead letter: 1 unknown_type"]
    (applied,) = shop.work()
    assert (applied.key.visitor, applied.at_ms) == (SECRET, NOW_MS)
    assert len(shop.listed()) == 2, "nothing new has died"


def test_key_value_and_first_timestamp_come_back_unchanged(shop):
    written_ms = NOW_MS - 5 * DAY_MS
    value = b"\x00\xff" + event()
    shop.send("consent-events", SECRET.encode(), value, at_ms=written_ms)
    shop.work()
    shop.replayed()
    first, second = shop.kafka.read_all("consent-events")
    assert (second.key, second.value, second.timestamp_ms) == (SECRET.encode(), value, written_ms)
    assert (second.partition, second.headers) == (first.partition, {"attempt": b"2"})


def test_with_a_key_the_partition_is_the_one_javas_producers_choose(shop):
    keys = [f"visitor-{number}".encode() for number in range(20)]
    shop.kafka.produce("cart-events", [(key, b"{" + key, NOW_MS, None, None) for key in keys])
    shop.work()
    shop.replayed()
    records = shop.kafka.read_all("cart-events")
    assert len(records) == 40
    assert len({(record.key, record.partition) for record in records}) == 20


def test_without_a_key_the_partition_is_the_original_one(shop):
    records = [(None, b"{%d" % n, NOW_MS, None, part) for n, part in enumerate([0, 1, 1, 2])]
    shop.kafka.produce("page-views", records)
    shop.work()
    shop.replayed()
    partitions = [record.partition for record in shop.kafka.read_all("page-views")]
    assert partitions == [0, 0, 1, 1, 1, 1, 2, 2]


def test_empty_records_can_be_sent_back_too(shop):
    pairs = [(key, value) for key in (None, b"", b"ann") for value in (None, b"")]
    shop.bury(*[dead(v, k, topic="page-views", partition=0, reason="empty") for k, v in pairs])
    assert shop.replayed() == ["sent back: 6 dead letters: 6 empty"]
    found = [(record.key, record.value) for record in shop.kafka.read_all("page-views")]
    # A record without key and value is one that aiokafka does not send.
    assert sorted(found, key=str) == sorted([(None, b""), *pairs[1:]], key=str)


def test_a_dry_run_says_what_would_happen_and_sends_nothing(shop):
    shop.bury(dead(value=b"1", offset=1), dead(value=b"2", offset=2, attempt=3))
    lines = shop.replayed(dry_run=True)
    assert lines[0].startswith("would go back as attempt 2: ")
    assert "cart-events-1-1" in lines[0]
    assert lines[1].startswith("left (died 3 times): ")
    assert lines[2] == "would go back: 1 dead letter: 1 malformed"
    assert shop.inputs() == 0


def test_a_record_that_has_died_three_times_is_left(shop):
    shop.send("cart-events", SECRET.encode(), b"{")
    shop.work()
    for _ in range(4):
        shop.replayed()
        shop.work()
    line, *_ = shop.replayed()
    assert line.startswith("left (died 3 times): ")
    assert shop.inputs() == 3
    attempts = [line.split("  ")[3] for line in shop.listed()[:-1]]
    assert attempts == ["attempt 1", "attempt 2", "attempt 3"]


def test_replays_in_a_row_do_not_multiply_a_letter(shop):
    shop.send("cart-events", SECRET.encode(), b"{")
    shop.work()
    shop.replayed()
    shop.replayed()  # before any worker has seen the first
    shop.work()
    assert shop.replayed() == ["sent back: 1 dead letter: 1 malformed"]
    assert [record.headers for record in shop.kafka.read_all("cart-events")] == [
        {},
        {"attempt": b"2"},
        {"attempt": b"2"},
        {"attempt": b"3"},
    ]


def test_a_letter_that_was_cut_short_is_left(shop):
    cut = [dead(b"{" * 1024, offset=offset) for offset in (1, 2)]
    shop.bury(*cut, more=[("truncated", b"true")])
    lines = shop.replayed()
    assert [line.split(":")[0] for line in lines[:2]] == [
        "left (cut short, the original bytes are gone)"
    ] * 2
    assert shop.inputs() == 0


def test_what_is_older_than_the_memory_of_erasures_is_left(shop):
    shop.bury(
        dead(value=b"1", offset=1, appended_ms=NOW_MS - 29 * DAY_MS),
        dead(value=b"2", offset=2, appended_ms=NOW_MS - 27 * DAY_MS),
    )
    lines = shop.replayed()
    assert lines[0].startswith("left (older than 28 days")
    assert [record.value for record in shop.kafka.read_all("cart-events")] == [b"2"]


def test_a_letter_without_its_first_timestamp_counts_for_when_it_died(shop):
    shop.bury(dead(), died_ms=NOW_MS - DAY_MS)
    shop.replayed()
    assert [r.timestamp_ms for r in shop.kafka.read_all("cart-events")] == [NOW_MS - DAY_MS]


def test_a_partition_or_topic_that_is_gone_is_told(shop):
    shop.bury(dead(key=None, partition=PARTITIONS), dead(topic="page-views"))
    shop.kafka.delete_topics(["page-views"])
    lines = shop.replayed()
    assert sorted(line.split(":")[0] for line in lines) == [
        "left (has no key, and its partition is gone)",
        "left (its topic is gone)",
        "sent back",
    ]


def test_a_record_too_large_for_its_topic_costs_only_itself(shop):
    shop.kafka.delete_topics(["cart-events"])
    shop.kafka.create_topics(["cart-events"], PARTITIONS, {"max.message.bytes": "2000"})
    small = [dead(b"%d" % number, offset=2 + number) for number in range(5)]
    shop.bury(*small[:2], dead(b"x" * 5000, offset=1), *small[2:])
    lines: list[str] = []
    with pytest.raises(CartwakeError, match="1 of 6 dead letters were refused by Kafka"):
        replay(shop.settings, say=lines.append)
    assert "cart-events-1-1 " in next(line for line in lines if line.startswith("refused by Kafka"))
    values = {record.value for record in shop.kafka.read_all("cart-events")}
    assert values == {b"%d" % number for number in range(5)}


def test_thousands_go_back_in_the_order_in_which_they_died(shop):
    numbers = range(3000)
    entries = [outgoing(dead(b"%d" % n, offset=n), NOW_MS, "/cartwake/test") for n in numbers]
    records = [(it.key, it.value, NOW_MS + n, it.headers, None) for n, it in enumerate(entries)]
    shop.kafka.produce("dead-letters", records)
    assert shop.replayed() == ["sent back: 3,000 dead letters: 3,000 malformed"]
    assert [int(record.value) for record in shop.kafka.read_all("cart-events")] == [*numbers]


# trouble


def impatient(kafka):
    return client_options(kafka) | {"request_timeout_ms": 500}


@pytest.mark.parametrize("command", [list_, replay])
def test_an_unreachable_kafka_is_named(command):
    address = f"{LOOPBACK}:{free_port()}"
    with pytest.raises(CartwakeError, match=f"Kafka at {address} cannot be reached"):
        command(Settings(kafka=KafkaSettings(bootstrap=address)))


@pytest.mark.parametrize("command", [list_, replay])
def test_a_missing_topic_is_named_and_not_made(empty_kafka, command):
    with pytest.raises(CartwakeError, match="no topic dead-letters: make it with"):
        command(Settings(kafka=KafkaSettings(bootstrap=empty_kafka.bootstrap)))
    assert empty_kafka.topics() == {}


def test_a_kafka_that_falls_silent_is_given_up(shop, monkeypatch):
    # More than the client fetches ahead.
    shop.bury(*[dead(bytes(900_000), offset=number) for number in range(5)])
    polled = reader._polled

    def from_a_frozen_broker(*arguments: object):
        shop.kafka.pause()
        return polled(*arguments)

    monkeypatch.setattr(reader, "SILENCE_S", 0.5)
    monkeypatch.setattr(reader, "_polled", from_a_frozen_broker)
    try:
        with pytest.raises(CartwakeError, match="has stopped answering"):
            list_(shop.settings)
    finally:
        shop.kafka.resume()


@pytest.mark.parametrize("command", [list_, replay])
def test_a_kafka_that_goes_away_before_it_is_read_is_given_up(shop, monkeypatch, command):
    def counted_last(cluster):
        shop.kafka.pause()
        return partition_counts(cluster)

    monkeypatch.setattr(reader, "partition_counts", counted_last)
    monkeypatch.setattr(reader, "client_options", impatient)
    try:
        with pytest.raises(CartwakeError, match="has stopped answering"):
            command(shop.settings)
    finally:
        shop.kafka.resume()


def test_a_kafka_that_goes_away_while_letters_are_sent_tells_how_many_were(shop, monkeypatch):
    shop.bury(dead())
    send = dead_letters._Sending.send

    def to_a_frozen_broker(*arguments: object):
        shop.kafka.pause()
        return send(*arguments)

    monkeypatch.setattr(dead_letters._Sending, "send", to_a_frozen_broker)
    monkeypatch.setattr(dead_letters, "client_options", impatient)
    try:
        with pytest.raises(CartwakeError, match="0 of 1 dead letters were sent back"):
            replay(shop.settings)
    finally:
        shop.kafka.resume()


def test_the_commands_answer_people(shop):
    shop.bury(dead())
    place = {"CARTWAKE_KAFKA__BOOTSTRAP": shop.kafka.bootstrap}
    listed = run_cartwake("dead-letters", "list", settings=place)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.endswith("1 dead letter: 1 malformed\n")
    tried = run_cartwake("dead-letters", "replay", "--dry-run", settings=place)
    assert (tried.returncode, tried.stderr) == (0, "")
    assert shop.inputs() == 0
    sent = run_cartwake("dead-letters", "replay", "--since", "1h", settings=place)
    assert (sent.returncode, sent.stdout) == (0, "sent back: 1 dead letter: 1 malformed\n")
    nobody = {"CARTWAKE_KAFKA__BOOTSTRAP": f"{LOOPBACK}:{free_port()}"}
    away = run_cartwake("dead-letters", "list", settings=nobody)
    assert (away.returncode, away.stdout, away.stderr.count("\n")) == (1, "", 1)
