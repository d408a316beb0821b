"""Each invariant holds for what a replay gives, and finds what is wrong with anything else."""

import json
from types import SimpleNamespace

import pytest

from stream.domain.visitor import VisitorKey
from tests.faults.arena import PARTITIONS
from tests.faults.evidence import Evidence
from tests.faults.invariants import INVARIANTS, compared, judged
from tests.faults.observer import Look, Observer
from tests.faults.oracle import replayed
from tests.faults.second_opinion import disagreements
from tests.faults.traffic import SECRET
from tests.rig.kafka import Message
from tests.scenarios.world import (
    HOUR,
    IDLE,
    MINUTE,
    RANKS,
    SECOND,
    SETTINGS,
    T0,
    TOPIC_OF_TYPE,
    added,
    consented,
    leaving,
    refused,
    viewed,
)

FIRE = T0 + MINUTE + IDLE
TOPICS = tuple(RANKS)
SHOPPING = (
    consented(T0),
    added(T0 + MINUTE),
    leaving(T0 + 2 * MINUTE),
    refused(T0 + 2 * IDLE),
    viewed(T0 + 3 * IDLE),
)


def _at_once(event):
    return event["at_ms"]


def written(events, stored_ms=_at_once):
    """Return the log of one shard, with what has no meaning at its end."""
    ends, messages = dict.fromkeys(TOPICS, 0), []
    for event in events:
        topic = TOPIC_OF_TYPE[event["type"]]
        value, key = json.dumps(event).encode(), event["visitor"].encode()
        messages.append(Message(topic, 0, ends[topic], stored_ms(event), key, value, {}))
        ends[topic] += 1
    last_ms = stored_ms(events[-1])
    dead = Message("page-views", 0, ends["page-views"], last_ms, b"ann", b"{", {})
    return [*messages, dead], ends | {"page-views": ends["page-views"] + 1}


def published(topic, bodies, at_ms):
    return [
        Message(topic, 0, number, at_ms(body), b"", json.dumps(body).encode(), {})
        for number, body in enumerate(bodies)
    ]


async def found(clock="records", events=SHOPPING, steps_ms=(FIRE,), stored_ms=_at_once):
    """Return the evidence of a run in which nothing went wrong, and what is expected of it.

    The shard takes a step at each record, and at ``steps_ms``.
    """
    inputs, ends = written(events, stored_ms)
    expected = await replayed(inputs, SETTINGS)
    (dead,) = expected.dead
    letter = {"ce_id": dead.encode(), "reason": expected.dead[dead].encode()}
    observer = Observer(0, "none", PARTITIONS)
    observer.looks[0] = [
        Look(at_ms, 1, step, at_ms, {t: sum(_read(t, it, at_ms) for it in inputs) for t in TOPICS})
        for step, at_ms in enumerate(sorted({it.timestamp_ms for it in inputs} | set(steps_ms)))
    ]
    evidence = Evidence(
        clock=clock,
        inputs=inputs,
        ends={topic: {0: end} for topic, end in ends.items()},
        published={
            "triggers": published("triggers", expected.triggers.values(), lambda b: b["due_at_ms"]),
            "decisions": published("decisions", expected.decisions.values(), lambda b: b["at_ms"]),
            "trigger-cancels": published(
                "trigger-cancels", expected.cancels.values(), lambda b: b["at_ms"]
            ),
            "dead-letters": [Message("dead-letters", 0, 0, T0, b"ann", b"{", letter)],
        },
        states=dict(expected.states),
        stored=b"",
        said={"worker": "nothing to say"},
        outcomes=dict(expected.outcomes),
        observer=observer,
    )
    return evidence, expected


def _read(topic, message, at_ms):
    return message.topic == topic and message.timestamp_ms <= at_ms


def red(evidence, expected):
    return {name for name, problems in judged(evidence, expected).items() if problems}


def with_triggers(evidence, triggers):
    return evidence._replace(published=evidence.published | {"triggers": triggers})


def changed(message, at_ms=None, **fields):
    value = json.dumps(json.loads(message.value) | fields).encode()
    timestamp_ms = message.timestamp_ms if at_ms is None else at_ms
    return Message(message.topic, 0, message.offset, timestamp_ms, b"", value, {})


@pytest.mark.parametrize("clock", ["records", "live"])
async def test_where_nothing_went_wrong_all_hold(clock):
    evidence, expected = await found(clock)
    assert len(expected.triggers) == 2
    assert len(expected.cancels) == 1
    assert judged(evidence, expected) == {name: [] for name in INVARIANTS}
    assert disagreements(evidence, SETTINGS) == []


@pytest.mark.parametrize("clock", ["records", "live"])
async def test_a_trigger_that_is_missing_or_one_too_many_is_found(clock):
    evidence, expected = await found(clock)
    triggers = evidence.published["triggers"]
    assert "I1" in red(with_triggers(evidence, triggers[:1]), expected)
    another = changed(triggers[0], trigger_id="another")
    assert "I1" in red(with_triggers(evidence, [*triggers, another]), expected)


async def test_the_reference_notices_by_itself():
    evidence, _ = await found()
    triggers = evidence.published["triggers"]
    assert disagreements(with_triggers(evidence, triggers[:1]), SETTINGS)
    assert disagreements(evidence._replace(states={}), SETTINGS)


async def test_live_a_trigger_may_be_missing_only_while_its_visitor_did_something():
    late = (*SHOPPING[:2], viewed(FIRE + MINUTE))
    evidence, expected = await found("live", late, steps_ms=())
    assert [it["due_at_ms"] for it in expected.triggers.values()] == [FIRE]
    assert compared(with_triggers(evidence, []), expected).missing == []
    # Where the shard had caught up before, that is no excuse.
    looks = evidence.observer.looks[0]
    looks.insert(-1, looks[-1]._replace(at_ms=FIRE + 1, clock_ms=FIRE + 1))
    assert len(compared(with_triggers(evidence, []), expected).missing) == 1


@pytest.mark.parametrize(("came_back_ms", "missing"), [(FIRE + HOUR, 0), (FIRE + 2 * HOUR, 1)])
async def test_live_what_was_stored_after_it_had_made_something_due_is_caught_up_with_then(
    came_back_ms, missing
):
    def after_an_outage(event):
        return max(event["at_ms"], FIRE + HOUR)

    events = (*SHOPPING[:2], viewed(came_back_ms))
    evidence, expected = await found("live", events, stored_ms=after_an_outage)
    assert [it["due_at_ms"] for it in expected.triggers.values()] == [FIRE]
    assert len(compared(with_triggers(evidence, []), expected).missing) == missing


@pytest.mark.parametrize(("late_ms", "missing"), [(10 * SECOND - 1, 1), (10 * SECOND + 1, 0)])
async def test_live_an_exit_signal_that_was_stored_too_late_is_owed_no_answer(late_ms, missing):
    def late(event):
        return event["at_ms"] + (late_ms if event["type"] == "exit_signalled" else 0)

    then = (SHOPPING[2]["at_ms"],)
    evidence, expected = await found("live", SHOPPING[:3], steps_ms=then, stored_ms=late)
    answers = [one for one in expected.triggers.values() if one["kind"] == "exit_intent"]
    assert len(answers) == 1
    assert len(compared(with_triggers(evidence, []), expected).missing) == missing


async def test_live_what_came_later_instead_counts_as_that_one_and_no_other():
    evidence, expected = await found("live", (*SHOPPING[:2], viewed(FIRE + MINUTE)), steps_ms=())
    (known,) = evidence.published["triggers"]
    later = changed(known, trigger_id="later", due_at_ms=FIRE + MINUTE + IDLE)
    assert compared(with_triggers(evidence, [later]), expected)[:2] == ([], [])
    another = changed(later, trigger_id="another")
    assert len(compared(with_triggers(evidence, [later, another]), expected).extra) == 1


async def test_a_state_that_differs_is_found():
    evidence, expected = await found()
    assert red(evidence._replace(states={}), expected) == {"I2"}
    ghost = {(0, VisitorKey("default", "eve")): evidence.states[0, VisitorKey("default", "ann")]}
    assert red(evidence._replace(states=evidence.states | ghost), expected) == {"I2"}


async def test_a_repeat_with_another_body_is_found_and_one_with_another_score_is_not():
    evidence, expected = await found()
    triggers = evidence.published["triggers"]
    scored = [*triggers, changed(triggers[0], score={"value": 0.5})]
    assert red(with_triggers(evidence, scored), expected) == set()
    assert "I3" in red(with_triggers(evidence, [*triggers, changed(triggers[0], step=9)]), expected)


async def test_a_trigger_after_its_refusal_was_applied_is_found():
    evidence, expected = await found("live")
    reminder, offer = sorted(
        evidence.published["triggers"], key=lambda it: "exit" in json.loads(it.value)["kind"]
    )
    after = SHOPPING[3]["at_ms"] + 1
    assert red(with_triggers(evidence, [changed(reminder, after), offer]), expected) == {"I4"}
    # An answer on the page needs no consent to e-mail.
    assert red(with_triggers(evidence, [reminder, changed(offer, after)]), expected) == set()


async def test_a_shard_that_went_back_is_found_but_where_its_data_was_taken_away():
    evidence, expected = await found()
    looks = evidence.observer.looks[0]
    looks[1:1] = [looks[-1]._replace(at_ms=looks[1].at_ms - 1)]
    assert "I5" in red(evidence, expected)
    evidence.observer.losses_ms.append((looks[1].at_ms, looks[2].at_ms))
    assert "I5" not in red(evidence, expected)


async def test_a_record_that_is_not_accounted_for_is_found():
    evidence, expected = await found()
    letters = evidence.published | {"dead-letters": []}
    assert red(evidence._replace(published=letters), expected) == {"I6"}
    counts = {**(evidence.outcomes or {}), "applied": 1}
    assert red(evidence._replace(outcomes=counts), expected) == {"I6"}
    assert red(evidence._replace(outcomes=None), expected) == set()
    evidence.observer.looks[0].pop()
    assert "I6" in red(evidence, expected)


@pytest.mark.parametrize("place", ["log", "redis", "trigger", "header"])
async def test_an_address_that_was_planted_is_found_wherever_it_is(place):
    evidence, expected = await found()
    (letter,) = evidence.published["dead-letters"]
    (first, *others) = evidence.published["triggers"]
    told = {**letter.headers, "__streams.errors.message": SECRET.encode()}
    leaky = {
        "log": evidence._replace(said={"worker": f"cannot read {SECRET}"}),
        "redis": evidence._replace(stored=SECRET.encode()),
        "trigger": with_triggers(evidence, [changed(first, mail=SECRET), *others]),
        "header": evidence._replace(
            published=evidence.published
            | {"dead-letters": [Message("dead-letters", 0, 0, T0, b"ann", b"{", told)]}
        ),
    }
    assert "I7" in red(leaky[place], expected)


async def test_the_bytes_of_a_dead_letter_are_its_own():
    evidence, expected = await found()
    (letter,) = evidence.published["dead-letters"]
    original = SimpleNamespace(value=SECRET.encode(), key=SECRET.encode(), headers=letter.headers)
    kept = evidence.published | {"dead-letters": [original]}
    assert red(evidence._replace(published=kept), expected) == set()


# Pauses


def test_a_claim_ends_no_pause():
    observer = Observer(0, "none", 1)
    claims = [(0, 1, 1), (8_000, 2, 1), (11_000, 3, 1), (12_000, 3, 2)]
    observer.looks[0] = [Look(at_ms, epoch, step, 0, {}) for at_ms, epoch, step in claims]
    assert observer.longest_pause_s(0, 100, 1_000) == 12.0
    assert observer.claimed_after_s(500) == 7.5
