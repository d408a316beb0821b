"""Who acts on triggers and is stuck, and who only waits: by a clock moved by hand."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace

import pytest

from stream.delivery import liveness, rounds
from stream.delivery.liveness import STUCK_AFTER_S, Vitals
from stream.delivery.rounds import Rounds
from stream.runtime import heartbeat
from tests.rig.clocks import steady


@pytest.fixture
def clock(monkeypatch):
    return steady(monkeypatch, rounds, liveness, heartbeat)


class Office:
    """A desk with tasks, each of which comes round when it is told to, and a teller."""

    def __init__(self, clock):
        self.clock = clock
        self.desk = SimpleNamespace(name="email", rounds=Rounds())
        self.teller = SimpleNamespace(is_heard=True)
        self.vitals = Vitals([self.desk], self.teller)
        self.tasks = {}

    def begins(self, name):
        self.tasks[name] = bell = asyncio.Event()

        async def work():
            while True:
                self.desk.rounds.note()
                await bell.wait()
                bell.clear()

        return asyncio.create_task(work())

    async def passes(self, seconds, *coming):
        """Let time pass, a beat a second, in which these tasks come round each time."""
        for _ in range(int(seconds)):
            self.clock.now_s += 1
            for name in coming:
                self.tasks[name].set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.vitals.beat()


@pytest.fixture
async def office(clock):
    made = Office(clock)
    begun = [made.begins("one"), made.begins("two")]
    await asyncio.sleep(0)
    yield made
    for task in begun:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_tasks_that_come_round_live_whatever_a_fresh_client_says(office):
    await office.passes(2 * STUCK_AFTER_S, "one", "two")
    office.vitals.told(is_served=True)
    assert (office.vitals.suspicion(), office.vitals.alive()) == ("", (True, []))


async def test_one_task_that_does_not_come_round_is_stuck_where_kafka_serves_others(office):
    await office.passes(STUCK_AFTER_S, "one")
    assert office.vitals.suspicion() == ""
    await office.passes(1, "one")
    stuck = "a task of email has not come round for 601 s"
    assert office.vitals.suspicion() == stuck
    assert office.vitals.alive() == (True, [])
    office.vitals.told(is_served=True)
    assert office.vitals.alive() == (False, [f"{stuck}, though Kafka serves others"])


async def test_one_that_comes_round_after_all_lives_and_is_asked_about_anew(office):
    await office.passes(STUCK_AFTER_S + 1, "one")
    office.vitals.told(is_served=True)
    await office.passes(1, "one", "two")
    assert office.vitals.alive() == (True, [])
    await office.passes(STUCK_AFTER_S + 1, "one")
    assert office.vitals.alive() == (True, [])


async def test_while_kafka_is_away_nobody_is_stuck_however_long_it_takes(office):
    for _ in range(5):
        await office.passes(STUCK_AFTER_S + 1)
        assert office.vitals.suspicion()
        office.vitals.told(is_served=False)
        assert (office.vitals.suspicion(), office.vitals.alive()) == ("", (True, []))


async def test_who_tries_to_tell_an_outcome_is_not_stuck_and_is_not_restarted(office):
    """What it has sent would be sent again."""
    office.teller.is_heard = False
    await office.passes(5 * STUCK_AFTER_S)
    office.vitals.told(is_served=True)
    assert (office.vitals.suspicion(), office.vitals.alive()) == ("", (True, []))
    office.teller.is_heard = True
    await office.passes(STUCK_AFTER_S)
    assert office.vitals.suspicion() == ""
    await office.passes(1)
    assert office.vitals.suspicion()


async def test_a_desk_at_which_nobody_has_begun_is_stuck_in_the_end(office):
    office.desk.rounds = Rounds()
    await office.passes(STUCK_AFTER_S)
    assert office.vitals.suspicion() == ""
    await office.passes(1)
    assert "email has not come round for 601 s" in office.vitals.suspicion()


async def test_an_event_loop_that_no_longer_turns_is_not_alive(office, clock):
    await office.passes(1, "one", "two")
    clock.now_s += heartbeat.STUCK_AFTER_S + 1
    assert office.vitals.alive() == (False, ["the event loop has not turned for 31 s"])


async def test_before_the_event_loop_turns_all_is_well(clock):
    made = Office(clock)
    clock.now_s += 10 * STUCK_AFTER_S
    assert made.vitals.alive() == (True, [])
