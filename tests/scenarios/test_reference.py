"""Any log, and any trouble on the way, gives what the independent reference says of the log.

``python -m tests.scenarios.test_reference MINUTES`` looks for counterexamples for so long, with
other examples each time, and prints how many a second. What it finds and shrinks belongs into
``STORIES`` of shoppers.py.
"""

import asyncio
import json
import sys
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stream.adapters.wire.codec import decode_state
from stream.domain.holdout import in_holdout
from stream.domain.kinds.cart_abandonment import CartAbandonmentParameters
from stream.domain.kinds.exit_intent import ExitIntentParameters
from stream.domain.policy import Holdout, Policy
from stream.domain.topics import LANES
from stream.entities.visitors import VISITOR_CODEC
from tests import reference
from tests.reference.shop import Shop
from tests.reference_view import called_back, expected, told, view
from tests.restraint import missing, too_many
from tests.scenarios.living import AWAY, FollowedStore, Follower, WatchedSink, live
from tests.scenarios.shoppers import STORIES, Act, is_robot, logs, written
from tests.scenarios.trouble import LOSSES, TROUBLES, Crashing, Trouble, suffer
from tests.scenarios.world import DAY, HOUR, World
from tests.strategies import GAPS_MS

EXAMPLES = 150
HELD_OUT = Holdout(fraction=0.3, salt="so that bob is held out")
# Shorter than the defaults, so that more happens within a log.
POLICY = Policy(
    parameters={
        "cart_abandonment": CartAbandonmentParameters(
            min_value_minor=300, max_age_s=5 * 3600, steps_s=(0, 3600, 86400)
        ),
        "exit_intent": ExitIntentParameters(cooldown_s=2 * 3600),
    },
    holdout=HELD_OUT,
)
SAME_POLICY = reference.Policy(
    min_value_minor=300, max_age_s=5 * 3600, steps_s=(0, 3600, 86400), cooldown_s=2 * 3600
)


def troubled(kinds, max_size=12):
    """Draw what happens to a worker."""
    one = st.builds(
        Trouble, st.sampled_from(kinds), st.integers(1, 9), st.sampled_from(tuple(LANES))
    )
    return st.lists(one, max_size=max_size)


def is_held_out(tenant, visitor):
    return in_holdout(tenant, visitor, HELD_OUT)


def expect(records):
    """Return what the reference makes of records."""
    return reference.run(
        records,
        SAME_POLICY,
        is_robot=is_robot,
        is_held_out=is_held_out,
    )


def stored(records, **more):
    """Return a world whose log holds the records."""
    world = World(policy=POLICY, **more)
    for one in records:
        world.log.append(one.topic, one.timestamp_ms, one.key, one.value)
    return world


# What was published, and what is kept in the end


def distinct(world, topic):
    """Return the bodies published to a topic; of one id there must never be two bodies."""
    found = {}
    for entry in world.sink.published:
        if entry.topic == topic:
            known = found.setdefault(dict(entry.headers)["ce_id"], entry.value)
            assert known == entry.value
    return [json.loads(value) for value in found.values()]


def assert_same(world, expected_result):
    """Compare all that was published, and all that is kept, with the reference's."""
    triggers = distinct(world, "triggers")
    assert texts(told, triggers) == texts(expected, expected_result.triggers)
    assert texts(told, distinct(world, "decisions")) == texts(expected, expected_result.decisions)
    assert cancels(world, triggers) == texts(plain, expected_result.cancels).keys()
    assert dead_letters(world) == expected_result.dead
    assert kept(world) == expected_result.visitors


def plain(body):
    return json.dumps(body, sort_keys=True)


def texts(text_of, bodies):
    """Return how often each comparable text occurs; once, unless a decision is made twice."""
    return Counter(text_of(body) for body in bodies)


def cancels(world, triggers):
    """Return the distinct cancels of published triggers, each with what its trigger says."""
    of_id = {trigger["trigger_id"]: trigger for trigger in triggers}
    published = [one for one in world.published("trigger-cancels") if one["trigger_id"] in of_id]
    return {
        plain(called_back(one, of_id[one["trigger_id"]]))
        for one in published
        if one["trigger_id"] in of_id
    }


def dead_letters(world):
    """Return the reason of each dead letter by its place."""
    headers = [dict(one.headers) for one in world.sink.published if one.topic == "dead-letters"]
    place = "__streams.errors."
    return {
        (
            one[f"{place}topic"].decode(),
            int(one[f"{place}partition"]),
            int(one[f"{place}offset"]),
        ): one["reason"].decode()
        for one in headers
    }


def kept(world):
    """Return a view of every state in the store."""
    states = {who: data for one in world.store._shards.values() for who, data in one.states.items()}
    return {tuple(who): view(decode_state(data)) for who, data in states.items()}


# By the records clock


async def _by_the_records_clock(acts, troubles):
    records = written(acts)
    world = stored(records, sink=Crashing())
    worker = await suffer(world, await world.worker(live=False), troubles)
    await worker.run()
    assert_same(world, expect(records))


def by_the_records_clock(acts, troubles):
    asyncio.run(_by_the_records_clock(acts, troubles))


# By the live clock


def followed(records):
    """Return a world whose commits the reference follows, and the follower."""
    shop = Shop(SAME_POLICY, reference.Result(), is_robot, is_held_out)
    world = World(store=FollowedStore(VISITOR_CODEC), sink=WatchedSink(), policy=POLICY)
    world.store.follower = world.sink.follower = follower = Follower(world, shop, records)
    return world, follower


def without_held_back(result, world, follower):
    """Return a result without triggers whose grant had ended when they were about to be sent."""
    sent = {told(body) for body in distinct(world, "triggers")}
    held = [one for one in result.triggers if expected(one) not in sent and follower.may_lapse(one)]
    result.triggers = [one for one in result.triggers if one not in held]
    result.cancels = [
        one for one in result.cancels if not any(_is_of(one, trigger) for trigger in held)
    ]
    return result


def _is_of(cancel, trigger):
    same = ("kind", "tenant", "visitor", "step", "due_at_ms")
    return all(cancel[name] == trigger[name] for name in same)


async def _live_in_step(acts, troubles):
    # By the records clock a dead letter is no moment at which something may be due.
    records = written([*acts, Act("bob", "looks")])
    world, follower = followed(records)
    await live(world, records, troubles, in_step=True)
    assert_same(world, without_held_back(expect(records), world, follower))


def live_in_step(acts, troubles):
    asyncio.run(_live_in_step(acts, troubles))


async def _live_step_by_step(acts, troubles):
    records = written(acts)
    world, follower = followed(records)
    await live(world, records, troubles)
    result = follower.shop.told
    result.visitors = follower.visitors()
    assert_same(world, without_held_back(result, world, follower))


def live_step_by_step(acts, troubles):
    asyncio.run(_live_step_by_step(acts, troubles))


async def _live_with_backlogs(acts, troubles):
    records = written([*acts, Act("bob", "looks", 2 * DAY)])
    world, follower = followed(records)
    await live(world, records, troubles)
    contract, triggers = expect(records).triggers, distinct(world, "triggers")
    assert too_many(contract, triggers) == []
    assert missing(contract, triggers, follower.excuses) == []


def live_with_backlogs(acts, troubles):
    asyncio.run(_live_with_backlogs(acts, troubles))


IN_TIME = logs(gaps=GAPS_MS, latenesses=[0])
AWAY_AT_TIMES = [one for one in TROUBLES if one not in LOSSES] + [AWAY] * 9
PROPERTIES = {
    by_the_records_clock: (logs(), troubled(TROUBLES)),
    live_in_step: (IN_TIME, troubled(TROUBLES)),
    live_step_by_step: (logs(gaps=GAPS_MS), troubled(AWAY_AT_TIMES)),
    live_with_backlogs: (IN_TIME, troubled((*TROUBLES, *[AWAY] * 9))),
}


def looking(examples, **more):
    """Return settings for so many examples. A busy machine is slow, not wrong."""
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), **more
    )


@pytest.mark.parametrize("acts", STORIES)
def test_these_logs_give_what_the_contract_says(acts):
    by_the_records_clock([*acts, Act("bob", "looks", HOUR)], [])


@looking(EXAMPLES)
@given(*PROPERTIES[by_the_records_clock])
def test_by_the_records_clock_whatever_goes_wrong_a_log_gives_what_the_contract_says(
    acts, troubles
):
    by_the_records_clock(acts, troubles)


# What a new owner finds in the outbox and publishes, Kafka knows of before Redis is lost.
@example(
    [
        *(Act(who, "allows both") for who in ("ann", "bob")),
        Act("bob", "adds p1", 1),
        Act("ann", "allows both", 5 * HOUR),
    ],
    [
        *[Trouble("reads")] * 3,
        Trouble("dies before it publishes"),
        Trouble("Redis is lost"),
    ],
)
@looking(EXAMPLES)
@given(*PROPERTIES[live_in_step])
def test_live_in_step_with_its_input_a_log_gives_the_same_whatever_goes_wrong(acts, troubles):
    live_in_step(acts, troubles)


@looking(EXAMPLES)
@given(*PROPERTIES[live_step_by_step])
def test_live_every_step_does_what_the_contract_says_of_its_records_and_its_clock(acts, troubles):
    live_step_by_step(acts, troubles)


def main():
    """Look for counterexamples for so many minutes."""
    ends = time.monotonic() + 60 * float(sys.argv[1])
    while time.monotonic() < ends:
        for check, drawn in PROPERTIES.items():
            began = time.monotonic()
            looking(500, database=None)(given(*drawn)(check))()
            speed = 500 / (time.monotonic() - began)
            sys.stdout.write(f"{check.__name__}: {speed:.0f} examples/s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
