"""What any program is taken for by what its event loop notes, on a clock moved by hand."""

import pytest

from stream.runtime import liveness as module
from stream.runtime.liveness import LOOP_STUCK_AFTER_S, Liveness
from tests.rig.clocks import steady


@pytest.fixture
def clock(monkeypatch):
    return steady(monkeypatch, module)


@pytest.fixture
def liveness(clock):
    return Liveness()


def test_a_program_that_notes_nothing_lives_and_is_ready(liveness, clock):
    clock.now_s += 10 * LOOP_STUCK_AFTER_S
    assert liveness.alive() == liveness.ready() == (True, [])


def test_an_event_loop_that_is_blocked_is_dead_until_it_turns_again(liveness, clock):
    assert liveness.beat() == clock.now_s
    clock.now_s += LOOP_STUCK_AFTER_S
    assert liveness.alive() == (True, [])
    clock.now_s += 1
    assert liveness.alive() == (False, ["the event loop has been blocked for 31 s"])
    liveness.beat()
    assert liveness.alive() == (True, [])


def test_what_has_stalled_is_dead_without_a_probe(liveness):
    liveness.note_stalled("shards [4] have not moved")
    assert liveness.alive() == (False, ["shards [4] have not moved"])
    liveness.note_stalled("")
    assert liveness.alive() == (True, [])


def test_what_is_waited_for_makes_it_not_ready_and_not_dead(liveness):
    liveness.note_waiting("waiting for Redis", "clocks disagree")
    assert liveness.alive() == (True, [])
    assert liveness.ready() == (False, ["waiting for Redis", "clocks disagree"])


@pytest.mark.parametrize("serves", [True, False])
def test_a_probe_decides_whether_missing_progress_is_kafkas_fault(liveness, serves):
    liveness.note_suspicion("no fetch is answered")
    assert liveness.probe_reason() == "no fetch is answered"
    assert liveness.alive() == (True, [])
    liveness.note_probe(ok=serves)
    assert liveness.alive()[0] is not serves
    assert bool(liveness.probe_reason()) is serves


def test_after_progress_the_next_suspicion_is_probed_anew(liveness):
    liveness.note_suspicion("no fetch is answered")
    liveness.note_probe(ok=True)
    liveness.note_suspicion("")
    liveness.note_suspicion("no fetch is answered")
    assert liveness.alive() == (True, [])


def test_what_is_expected_is_overdue_after_its_time_and_excused_while_kafka_is_away(
    liveness, clock
):
    liveness.expect("shards have not been claimed", 120)
    clock.now_s += 121
    assert liveness.probe_reason() == "shards have not been claimed for 121 s"
    liveness.note_probe(ok=False)
    assert liveness.probe_reason() == ""
    clock.now_s += 121
    liveness.note_probe(ok=True)
    assert liveness.alive()[0] is False
    liveness.expect_nothing()
    assert liveness.alive() == (True, [])
