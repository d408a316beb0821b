import pytest

from stream.runtime import progress as module
from stream.runtime.progress import LOOK_EVERY, Progress
from tests.rig.clocks import steady


@pytest.fixture
def clock(monkeypatch):
    return steady(monkeypatch, module)


def advance(progress, events, size=10):
    for _ in range(events):
        progress.advance(size)


def test_a_line_now_and_then_tells_events_speed_and_the_time_left(clock, capsys):
    with Progress("replay", 10 * 4 * LOOK_EVERY) as progress:
        advance(progress, LOOK_EVERY - 1)
        clock.now_s += 8
        progress.advance(10)
    assert capsys.readouterr().err == "replay: 512 events, 64 events/s, 24 s left\n"


def test_without_a_known_size_no_time_left_is_told(clock, capsys):
    with Progress("replay", None) as progress:
        clock.now_s += 8
        advance(progress, LOOK_EVERY)
    assert capsys.readouterr().err == "replay: 512 events, 64 events/s\n"


def test_short_work_says_nothing(clock, capsys):
    with Progress("replay", 100_000) as progress:
        advance(progress, 3 * LOOK_EVERY)
    assert capsys.readouterr() == ("", "")


def test_lines_are_some_seconds_apart(clock, capsys):
    with Progress("replay", None) as progress:
        for _ in range(10):
            clock.now_s += module.LINE_EVERY_S / 2
            advance(progress, LOOK_EVERY)
    assert len(capsys.readouterr().err.splitlines()) == 5


def test_on_a_terminal_there_is_a_bar_and_no_line(clock, capsys, monkeypatch):
    monkeypatch.setattr(module.Console, "is_terminal", True)
    with Progress("replay", 1_000_000) as progress:
        clock.now_s += module.LINE_EVERY_S
        advance(progress, LOOK_EVERY)
        shown = progress._bar.tasks[0]
        assert (shown.completed, shown.total) == (10 * LOOK_EVERY, 1_000_000)
        assert shown.fields["events"] == LOOK_EVERY
    assert "events/s" not in capsys.readouterr().err


def test_an_error_in_the_work_ends_the_bar_and_passes(clock, monkeypatch):
    monkeypatch.setattr(module.Console, "is_terminal", True)
    progress = Progress("replay", None)
    with pytest.raises(ValueError, match="work"), progress:
        raise ValueError("work")
    assert not progress._bar.live.is_started
