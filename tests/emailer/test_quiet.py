from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream.emailer.quiet import QuietHours

MINUTE_MS = 60_000
NIGHT = QuietHours(time(21), time(9))
BERLIN, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")


def ms(text, zone):
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


@pytest.mark.parametrize(
    ("at", "over"),
    [
        ("2026-01-10T20:59", "2026-01-10T20:59"),
        ("2026-01-10T21:00", "2026-01-11T09:00"),
        ("2026-01-10T23:30", "2026-01-11T09:00"),
        ("2026-01-11T00:00", "2026-01-11T09:00"),
        ("2026-01-11T08:59", "2026-01-11T09:00"),
        ("2026-01-11T09:00", "2026-01-11T09:00"),
        # The clocks go forward, and back: the night is an hour shorter, and longer.
        ("2026-03-28T22:00", "2026-03-29T09:00"),
        ("2026-10-24T22:00", "2026-10-25T09:00"),
    ],
)
def test_a_night_ends_by_the_recipients_clock(at, over):
    assert NIGHT.over_ms(ms(at, BERLIN), BERLIN) == ms(over, BERLIN)


def test_an_end_that_is_skipped_comes_as_much_later_as_was_skipped():
    early = QuietHours(time(22), time(2, 30))
    over_ms = early.over_ms(ms("2026-03-28T23:00", BERLIN), BERLIN)
    assert datetime.fromtimestamp(over_ms / 1000, BERLIN).time() == time(3, 30)


def test_an_end_that_comes_twice_counts_unless_it_is_quiet_again_by_then():
    early = QuietHours(time(22), time(2, 30))
    first = early.over_ms(ms("2026-10-24T23:00", BERLIN), BERLIN)
    assert datetime.fromtimestamp(first / 1000, BERLIN).fold == 0
    half_an_hour_later = first + 30 * MINUTE_MS  # 02:00 again
    second = early.over_ms(half_an_hour_later, BERLIN)
    assert second == first + 60 * MINUTE_MS


def test_equal_hours_are_none():
    assert QuietHours(time(9), time(9)).over_ms(12345, BERLIN) == 12345


def test_the_same_moment_is_night_here_and_day_there():
    at_ms = ms("2026-05-05T22:00", BERLIN)
    assert NIGHT.holds(at_ms, BERLIN)
    assert not NIGHT.holds(at_ms, ZoneInfo("America/Los_Angeles"))


TIMES = st.times().map(lambda one: one.replace(second=0, microsecond=0))
ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "America/Sao_Paulo",
    ]
).map(ZoneInfo)
MOMENTS = st.integers(ms("2010-01-01", UTC), ms("2035-01-01", UTC)).map(
    lambda moment_ms: moment_ms // MINUTE_MS * MINUTE_MS
)


@given(TIMES, TIMES, ZONES, MOMENTS)
@example(time(22), time(2, 30), BERLIN, ms("2026-10-24T23:00", BERLIN))
@example(time(1, 50), time(2, 10), LORD_HOWE, ms("2026-04-05T01:55", LORD_HOWE))
@example(time(22), time(2, 30), BERLIN, ms("2026-03-28T23:00", BERLIN))
def test_it_is_never_quiet_when_it_is_over_and_never_over_for_long_before(start, end, zone, at_ms):
    quiet = QuietHours(start, end)
    over_ms = quiet.over_ms(at_ms, zone)
    assert over_ms >= at_ms
    assert not quiet.holds(over_ms, zone)
    assert over_ms - at_ms <= 49 * 60 * MINUTE_MS
    # By how much it may last too long: what a change of the clock skips.
    free = [m for m in range(at_ms, over_ms, MINUTE_MS) if not quiet.holds(m, zone)]
    assert len(free) <= 60
