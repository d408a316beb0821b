"""I1 to I7: what must hold after every row, whatever was broken.

The one rule: a check returns what is wrong, in words that name the record; nothing means it holds.
By the ``records`` clock the result of a replay is demanded exactly. Live, a trigger may be missing
where its visitor did something between its due moment and the moment when the shard had caught up,
and there is never one too many: what such a visitor gets later instead counts as that one.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import pairwise
from typing import Any, NamedTuple

from stream.domain.visitor import Visitor
from tests import restraint
from tests.faults.evidence import Evidence, body
from tests.faults.oracle import BODIES, IDS, Expected, without_score
from tests.faults.traffic import SECRET
from tests.rig.kafka import Message

NEEDS = {
    "cart_abandonment": ("personalization", "marketing_email"),
    "exit_intent": ("personalization",),
}
# What never depends on when something was decided; the rest of a state does, live.
LASTING = ("session", "cart", "last_order_ms", "orders", "recent")
# A producer's time and the broker's differ by moments, and so do those of two of our looks.
JITTER_MS = 50


class Finding(NamedTuple):
    """How much of what was expected is not there, what is there besides, and what came twice."""

    missing: list[str]
    extra: list[str]
    repeats: int


def compared(evidence: Evidence, expected: Expected) -> Finding:
    """Compare the triggers."""
    found = {body(it)["trigger_id"]: body(it) for it in evidence.published["triggers"]}
    repeats = len(evidence.published["triggers"]) - len(found)
    if evidence.clock == "live":
        acts = _acts(evidence)
        missing = restraint.missing(
            expected.triggers.values(),
            found.values(),
            lambda one: _is_excused(evidence, acts[one["visitor"]], one),
        )
        extra = restraint.too_many(expected.triggers.values(), found.values())
        return Finding(list(map(_told, missing)), list(map(str, extra)), repeats)
    missing = [one for known, one in expected.triggers.items() if known not in found]
    extra = [one for known, one in found.items() if known not in expected.triggers]
    return Finding(list(map(_told, missing)), list(map(_told, extra)), repeats)


def lost(evidence: Evidence, expected: Expected) -> list[str]:
    """I1: nothing is lost, nothing invented: triggers, and by the records clock all decisions."""
    found = compared(evidence, expected)
    problems = [f"missing: {one}" for one in found.missing]
    problems += [f"one too many: {one}" for one in found.extra]
    if evidence.clock == "records":
        for topic in BODIES:
            known = getattr(expected, topic.replace("trigger-cancels", "cancels"))
            problems += _differing(topic, known, evidence)
    return problems


def states_differ(evidence: Evidence, expected: Expected) -> list[str]:
    """I2: what Redis holds at the end is what a replay holds, visitor by visitor."""
    problems = []
    for key in expected.states.keys() | evidence.states.keys():
        ours, theirs = evidence.states.get(key), expected.states.get(key)
        if _comparable(ours, evidence.clock) != _comparable(theirs, evidence.clock):
            problems.append(f"shard {key[0]}, {key[1].visitor}: {ours} is not {theirs}"[:600])
    return problems


def repeats_differ(evidence: Evidence, _: Expected) -> list[str]:
    """I3: a repeated id carries the same body, but for its score where the decision was remade."""
    problems = []
    for topic in BODIES:
        known: dict[str, dict[str, Any]] = {}
        for it in map(body, evidence.published[topic]):
            first = known.setdefault(it[IDS[topic]], without_score(it))
            if first != without_score(it):
                problems.append(f"{topic}: {it[IDS[topic]]} came with two bodies")
    return problems


def after_refusal(evidence: Evidence, expected: Expected) -> list[str]:
    """I4: no trigger is in its topic later than the refusal of what it needs was applied.

    By the ``records`` clock one that the log owes from before the refusal may be, if it is
    cancelled or has expired: what a backfill owes is not looked at again.
    """
    choices = _choices(evidence, expected)
    cancelled = {body(it)["trigger_id"] for it in evidence.published["trigger-cancels"]}
    problems = []
    for message in evidence.published["triggers"]:
        trigger = body(message)
        is_harmless = (
            trigger["trigger_id"] in cancelled or trigger["expires_at_ms"] < message.timestamp_ms
        )
        if evidence.clock == "records" and is_harmless:
            continue
        known = [c for c in choices[trigger["visitor"]] if c.applied_ms < message.timestamp_ms]
        refused = _refused(known, NEEDS[trigger["kind"]])
        if refused:
            problems.append(
                f"{_told(trigger)} was published"
                f" {message.timestamp_ms - refused.applied_ms} ms after the refusal was applied"
            )
    return problems


def went_back(evidence: Evidence, _: Expected) -> list[str]:
    """I5: how far a shard is never goes back, but where its data was taken away on purpose."""
    problems = []
    for shard, looks in evidence.observer.looks.items():
        for before, after in pairwise(looks):
            losses = evidence.observer.losses_ms
            if any(before.at_ms <= until and from_ms <= after.at_ms for from_ms, until in losses):
                continue
            back = [t for t, at in before.offsets.items() if after.offsets.get(t, 0) < at]
            if back or after.clock_ms < before.clock_ms:
                problems.append(f"shard {shard} went back in {back or 'its clock'}: {after}")
    return problems


def unaccounted(evidence: Evidence, expected: Expected) -> list[str]:
    """I6: every record of the log has been applied, refused, or is a dead letter, and counted."""
    problems = []
    for topic, ends in evidence.ends.items():
        for shard, end in ends.items():
            looks = evidence.observer.looks[shard]
            reached = looks[-1].offsets.get(topic, 0) if looks else 0
            if reached != end:
                problems.append(f"{topic} {shard}: {reached} of {end} records are accounted for")
    dead = {
        it.headers["ce_id"].decode(): it.headers["reason"].decode()
        for it in evidence.published["dead-letters"]
    }
    problems += [
        f"dead letter {name}: {dead.get(name)} is not {expected.dead.get(name)}"
        for name in sorted(dead.keys() | expected.dead.keys())
        if dead.get(name) != expected.dead.get(name)
    ]
    counted = evidence.outcomes
    if counted is not None and not evidence.observer.losses_ms:
        for outcome in counted.keys() | expected.outcomes.keys():
            ours, theirs = counted.get(outcome, 0), expected.outcomes.get(outcome, 0)
            if ours != theirs:
                problems.append(f"{outcome}: {ours:.0f} counted, {theirs} in the log")
    return problems


def leaked(evidence: Evidence, _: Expected) -> list[str]:
    """I7: no e-mail address that was planted is in a log, a metric, Redis, or what is published."""
    places = dict(evidence.said) | {"Redis": evidence.stored.decode(errors="replace")}
    for topic, messages in evidence.published.items():
        # A dead letter has the original bytes, as the contract has it.
        parts = [it.value or b"" for it in messages if topic != "dead-letters"]
        parts += [value for it in messages for value in it.headers.values()]
        places[topic] = b"\n".join(parts).decode(errors="replace")
    return [f"{SECRET} is in {place}" for place, text in places.items() if SECRET in text]


Check = Callable[[Evidence, Expected], list[str]]
INVARIANTS: dict[str, Check] = {
    "I1": lost,
    "I2": states_differ,
    "I3": repeats_differ,
    "I4": after_refusal,
    "I5": went_back,
    "I6": unaccounted,
    "I7": leaked,
}


def judged(evidence: Evidence, expected: Expected) -> dict[str, list[str]]:
    """Return what each invariant finds wrong."""
    return {name: check(evidence, expected) for name, check in INVARIANTS.items()}


def _told(trigger: dict[str, Any]) -> str:
    return (
        f"{trigger['kind']} step {trigger['step']} of {trigger['visitor']}"
        f" due {trigger['due_at_ms']}"
    )


def _differing(topic: str, known: dict[str, dict[str, Any]], evidence: Evidence) -> list[str]:
    found = {it[IDS[topic]]: without_score(it) for it in map(body, evidence.published[topic])}
    return [
        f"{topic}: {name}: {found.get(name)} is not {known.get(name)}"[:400]
        for name in sorted(found.keys() | known.keys())
        if found.get(name) != known.get(name)
    ]


def _comparable(state: Visitor | None, clock: str) -> Any:
    """Return of a state what must be equal: what models believed depends on when they learnt."""
    if state is None:
        return None
    behaviour: Any = None
    if state.behaviour is not None:
        names = state.behaviour.__struct_fields__ if clock == "records" else LASTING
        skipped = {"score", "predictions", "sent"}
        behaviour = {n: getattr(state.behaviour, n) for n in names if n not in skipped}
    return state.consent, state.consent_ids, state.erased_ms, behaviour


class Act(NamedTuple):
    """What a visitor did, by their own clock, and the record that tells it."""

    at_ms: int
    record: Message


def _acts(evidence: Evidence) -> dict[str, list[Act]]:
    """Return what each visitor did; what cannot be read is nothing."""
    acts: defaultdict[str, list[Act]] = defaultdict(list)
    for it in evidence.inputs:
        with suppress(ValueError, KeyError, TypeError):
            at_ms = int(json.loads(it.value or b"")["at_ms"])
            acts[(it.key or b"").decode(errors="replace")].append(Act(at_ms, it))
    return acts


def _is_excused(evidence: Evidence, acts: list[Act], one: dict[str, Any]) -> bool:
    """Say whether its visitor did something, or it expired, before the shard had caught up.

    What was stored only after it had made something due is caught up with when it was applied.
    """
    due_ms, observer = one["due_at_ms"], evidence.observer
    caught_up_ms = observer.reached_at_ms(acts[0].record.partition, due_ms) or due_ms
    made_due = [it for at_ms, it in acts if at_ms <= due_ms]
    applied_ms = max(
        (
            observer.applied_at_ms(it.partition, it.topic, it.offset) or it.timestamp_ms
            for it in made_due
        ),
        default=due_ms,
    )
    return max(caught_up_ms, applied_ms) > one["expires_at_ms"] or any(
        due_ms - JITTER_MS <= it.timestamp_ms <= caught_up_ms + JITTER_MS
        or (due_ms < at_ms and it.timestamp_ms <= applied_ms + JITTER_MS)
        for at_ms, it in acts
    )


class Choice(NamedTuple):
    """A refusal or grant of one purpose (None: all, an erasure), and when it was applied."""

    applied_ms: int
    at_ms: int
    purpose: str | None
    granted: bool


def _choices(evidence: Evidence, expected: Expected) -> dict[str, list[Choice]]:
    found: defaultdict[str, list[Choice]] = defaultdict(list)
    for it in evidence.inputs:
        is_dead = f"{it.topic}-{it.partition}-{it.offset}" in expected.dead
        if it.topic != "consent-events" or is_dead:
            continue
        applied_ms = evidence.observer.applied_at_ms(it.partition, it.topic, it.offset)
        event = json.loads(it.value or b"")
        told = [(name, status == "granted") for name, status in event.get("purposes", {}).items()]
        for purpose, granted in told if event["type"] == "consent_updated" else [(None, False)]:
            # A refusal counts from its record's timestamp where its own clock was slow.
            at_ms = event["at_ms"] if granted else max(event["at_ms"], it.timestamp_ms)
            if applied_ms is not None:
                found[event["visitor"]].append(Choice(applied_ms, at_ms, purpose, granted))
    return found


def _refused(choices: Iterable[Choice], needs: Iterable[str]) -> Choice | None:
    """Return the refusal that stands of anything that is needed, by the newest choice each."""
    for need in needs:
        told = [choice for choice in choices if choice.purpose in (need, None)]
        newest = max(told, key=lambda c: (c.at_ms, not c.granted), default=None)
        if newest is not None and not newest.granted:
            return newest
    return None
