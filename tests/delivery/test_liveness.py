"""Dispatchers that are stuck, and those that only wait: by a clock moved by hand."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace

import pytest

from stream.delivery import liveness
from stream.delivery.liveness import STUCK_AFTER_S, DeliveryLiveness
from stream.runtime import liveness as runtime
from stream.runtime.liveness import LOOP_STUCK_AFTER_S, TaskProgress
from tests.rig.clocks import steady


@pytest.fixture
def clock(monkeypatch):
    return steady(monkeypatch, liveness, runtime)


class Office:
    """A dispatcher with tasks, each of which makes progress when told to, and its writer."""

    def __init__(self, clock):
        self.clock = clock
        self.dispatcher = SimpleNamespace(
            name="email",
            progress=TaskProgress(),
            reader=SimpleNamespace(not_ready_reasons=list),
        )
        self.outcomes = SimpleNamespace(is_up=True)
        self.liveness = DeliveryLiveness([self.dispatcher], self.outcomes)
        self.tasks = {}

    def begins(self, name):
        self.tasks[name] = bell = asyncio.Event()

        async def work():
            while True:
                self.dispatcher.progress.note()
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
            self.liveness.observe()


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


async def test_tasks_that_make_progress_live_whatever_a_probe_finds(office):
    await office.passes(2 * STUCK_AFTER_S, "one", "two")
    office.liveness.note_probe(ok=True)
    assert (office.liveness.probe_reason(), office.liveness.alive()) == ("", (True, []))


async def test_one_task_without_progress_is_stuck_where_kafka_serves_a_new_client(office):
    await office.passes(STUCK_AFTER_S, "one")
    assert office.liveness.probe_reason() == ""
    await office.passes(1, "one")
    stuck = "a task of email has made no progress for 601 s"
    assert office.liveness.probe_reason() == stuck
    assert office.liveness.alive() == (True, [])
    office.liveness.note_probe(ok=True)
    assert office.liveness.alive() == (False, [f"{stuck}, although Kafka serves a new client"])


async def test_one_that_makes_progress_after_all_lives_and_is_probed_anew(office):
    await office.passes(STUCK_AFTER_S + 1, "one")
    office.liveness.note_probe(ok=True)
    await office.passes(1, "one", "two")
    assert office.liveness.alive() == (True, [])
    await office.passes(STUCK_AFTER_S + 1, "one")
    assert office.liveness.alive() == (True, [])


async def test_while_kafka_is_away_nobody_is_stuck_however_long_it_takes(office):
    for _ in range(5):
        await office.passes(STUCK_AFTER_S + 1)
        assert office.liveness.probe_reason()
        office.liveness.note_probe(ok=False)
        assert (office.liveness.probe_reason(), office.liveness.alive()) == ("", (True, []))


async def test_a_task_that_writes_its_outcome_again_is_not_stuck_and_is_not_restarted(office):
    """What it has sent would be sent again."""
    office.outcomes.is_up = False
    await office.passes(5 * STUCK_AFTER_S)
    office.liveness.note_probe(ok=True)
    assert (office.liveness.probe_reason(), office.liveness.alive()) == ("", (True, []))
    office.outcomes.is_up = True
    await office.passes(STUCK_AFTER_S)
    assert office.liveness.probe_reason() == ""
    await office.passes(1)
    assert office.liveness.probe_reason()


async def test_a_dispatcher_at_which_no_task_has_begun_is_stuck_in_the_end(office):
    office.dispatcher.progress = TaskProgress()
    await office.passes(STUCK_AFTER_S)
    assert office.liveness.probe_reason() == ""
    await office.passes(1)
    assert "email has made no progress for 601 s" in office.liveness.probe_reason()


async def test_an_event_loop_that_no_longer_turns_is_not_alive(office, clock):
    await office.passes(1, "one", "two")
    clock.now_s += LOOP_STUCK_AFTER_S + 1
    assert office.liveness.alive() == (False, ["the event loop has been blocked for 31 s"])


async def test_before_the_event_loop_turns_all_is_well(clock):
    made = Office(clock)
    clock.now_s += 10 * STUCK_AFTER_S
    assert made.liveness.alive() == (True, [])
