import pytest

from stream.runtime import heartbeat as module
from stream.runtime.heartbeat import STUCK_AFTER_S, Pulse
from tests.rig.clocks import steady


@pytest.fixture
def clock(monkeypatch):
    return steady(monkeypatch, module)


def test_a_loop_that_has_not_begun_is_not_stuck(clock):
    pulse = Pulse()
    clock.now_s += 10 * STUCK_AFTER_S
    assert pulse.stuck() == ""


def test_a_loop_that_does_not_beat_is_stuck_until_it_does(clock):
    pulse = Pulse()
    assert pulse.beat() == clock.now_s
    clock.now_s += STUCK_AFTER_S
    assert pulse.stuck() == ""
    clock.now_s += 1
    assert pulse.stuck() == "the event loop has not turned for 31 s"
    pulse.beat()
    assert pulse.stuck() == ""
