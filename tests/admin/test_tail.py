"""``cartwake tail``: what it says of an event is what the fold did with it."""

import json
from types import SimpleNamespace

import pytest

from stream.adapters.wire.facts import read
from stream.admin.tail import FORGOTTEN, Tail, outcome, run
from stream.admin.topics import create
from stream.config.settings import KafkaSettings, RedisSettings, Settings
from stream.domain.context import FoldContext, FoldOutcome
from stream.domain.fold import apply
from stream.domain.kinds import REGISTRY
from stream.domain.policy import DAY_MS
from stream.domain.visitor import Visitor
from stream.runtime.worker_clock import system_ms
from stream.shard.ports import Watermark
from tests.domain.build import POLICY

NOW_MS = 1_790_000_000_000
V = "v-4711"


def record(topic, type_, /, offset=0, at_ms=NOW_MS, visitor=V, **fields):
    value = {"type": type_, "id": f"{type_} {at_ms}", "visitor": visitor, "at_ms": at_ms} | fields
    return SimpleNamespace(
        topic=topic,
        partition=0,
        offset=offset,
        key=visitor.encode(),
        value=json.dumps(value).encode(),
        timestamp=at_ms,
        headers=(),
    )


def consent(status="granted", at_ms=NOW_MS - 1000, **more):
    purposes = {"personalization": status}
    return record("consent-events", "consent_updated", at_ms=at_ms, purposes=purposes, **more)


def view(**more):
    return record("page-views", "page_viewed", url="/", **more)


def order(number, **more):
    fields = {"order": "7", "total_minor": 1, "currency": "EUR"}
    return record("cart-events", "order_completed", id=number, **fields | more)


def erasure(**more):
    return record("consent-events", "erasure_requested", **more)


ROBOT = {"context": {"bot": True}}


@pytest.mark.parametrize(
    ("records", "words", "folded"),
    [
        ([view()], "no consent to personalization", FoldOutcome.REFUSED),
        ([consent(), view()], "applied", FoldOutcome.APPLIED),
        ([consent("denied"), view()], "personalization is denied", FoldOutcome.REFUSED),
        ([consent("withdrawn"), view()], "personalization is withdrawn", FoldOutcome.REFUSED),
        ([consent(valid_until_ms=NOW_MS - 1), view()], "has expired", FoldOutcome.REFUSED),
        ([consent(), view(at_ms=NOW_MS - 2000)], "newer than the event", FoldOutcome.REFUSED),
        ([consent(), view(**ROBOT)], "the sender is a bot", FoldOutcome.BOT),
        ([consent(**ROBOT)], "applied", FoldOutcome.APPLIED),
        ([consent(), order("a"), order("b")], "this order is known", FoldOutcome.DUPLICATE),
        ([consent(), erasure()], "everything was deleted", FoldOutcome.APPLIED),
        (
            [erasure(), view(at_ms=NOW_MS - 1)],
            "refused, the visitor has asked to be forgotten",
            FoldOutcome.REFUSED,
        ),
    ],
)
def test_it_says_what_the_fold_did(records, words, folded):
    state = Visitor()
    for fact in read(records):
        context = FoldContext(fact.key, state, POLICY, lambda *_: None, NOW_MS, [], REGISTRY)
        did = apply(context, fact.event, fact.at_ms, bot=fact.bot)
    assert did == folded
    assert words in outcome(fact, state)


def test_of_what_a_state_no_longer_holds_it_claims_nothing():
    (fact,) = read([consent()])
    assert outcome(fact, Visitor()) == FORGOTTEN


class States:
    """As much of Redis as it reads."""

    def __init__(self, applied):
        self.applied, self.kept = applied, Visitor()

    async def watermark(self, _):
        return Watermark(offsets=self.applied)

    async def state(self, *_):
        return self.kept


async def lines_of(*records, applied=9, visitor=None):
    lines = []
    tail = Tail(
        States(dict.fromkeys(("page-views", "consent-events"), applied)), visitor, lines.append
    )
    for one in records:
        if tail.is_about(one):
            await tail.show(one)
    return [line.split("  ", 1)[1] for line in lines]


async def test_each_record_is_one_line_with_its_reason():
    decision = record("decisions", "x", kind="exit_intent", outcome="skipped", reason="holdout")
    broken = view()
    broken.value = b"{"
    cut = record("cart-events", "telepathy_received")
    lines = await lines_of(decision, broken, cut, view(), view())
    assert lines == [
        f"{V}  decision exit_intent: skipped, holdout",
        f"{V}  page-views: dead letter, malformed: value: not one JSON value, at line 1 column 2",
        f"{V}  cart-events: dead letter, unknown_type: $.type: not a type that this version knows",
        f"{V}  page_viewed: refused, no consent to personalization: send consent_updated first",
        f"{V}  page_viewed: duplicate, its id was read before",
    ]


async def test_a_record_that_no_worker_has_applied_is_called_so():
    assert await lines_of(view(), applied=0) == [f"{V}  page_viewed: no worker has applied it yet"]


async def test_other_visitors_are_left_out_and_no_text_moves_the_cursor():
    other = record("decisions", "x", visitor="w", kind="k", outcome="fired", reason="fired")
    bad = record("decisions", "x", kind="\x1b[2J", outcome="fired", reason="fired")
    (line,) = await lines_of(other, bad, visitor=V)
    assert line == f"{V}  decision ?[2J: fired, fired"


def test_old_records_come_first_and_then_live_ones(empty_kafka, redis_server):
    kafka = KafkaSettings(bootstrap=empty_kafka.bootstrap, partitions=2)
    settings = Settings(kafka=kafka, redis=RedisSettings(url=redis_server.url))
    create(settings, lambda _: None)
    now_ms = system_ms()

    def store(*records):
        for one in records:
            entry = (one.key, one.value, one.timestamp, None, None)
            empty_kafka.produce(one.topic, [entry])

    store(view(at_ms=now_ms - DAY_MS), view(at_ms=now_ms - 3000), view(at_ms=now_ms, visitor="w"))
    lines = []

    def say(line):
        lines.append(line)
        if "live" in line:
            fields = {"kind": "exit_intent", "outcome": "fired", "reason": "fired"}
            store(record("decisions", "x", at_ms=now_ms, **fields))
        if len(lines) == 3:
            raise KeyboardInterrupt  # as Ctrl-C

    with pytest.raises(KeyboardInterrupt):
        run(settings, V, say)
    assert lines[0].endswith("page_viewed: no worker has applied it yet")
    assert "1 in the last 10 minutes" in lines[1]
    assert lines[2].endswith("decision exit_intent: fired, fired")
