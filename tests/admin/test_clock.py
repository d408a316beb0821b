"""What is said of clocks, by table."""

import pytest

from stream.admin.clock import check_record_timestamps, check_redis_clock


@pytest.mark.parametrize(
    ("ahead_ms", "took_ms", "said"),
    [
        (0, 1, "ok    clock of Redis: +0.000 s against this machine's"),
        (-999, 1, "ok    clock of Redis: -0.999 s"),
        (1000, 1, "warn  clock of Redis: +1.000 s against this machine's; from 5 s on workers"),
        (-4999, 1, "warn  clock of Redis: -4.999 s"),
        (
            5000,
            1,
            "FAIL  clock of Redis: +5.000 s against this machine's: workers here fire nothing",
        ),
        (-3_600_000, 1, "FAIL  clock of Redis: -3600.000 s"),
        (0, 2001, "warn  clock of Redis: reading it took 2001 ms"),
        (None, 1, "FAIL  clock of Redis: this user may not read it -> give this user +time"),
    ],
)
def test_redis_s_clock_is_compared_with_this_machine_s(ahead_ms, took_ms, said):
    finding = check_redis_clock(ahead_ms, took_ms)
    assert str(finding).startswith(said)
    assert bool(finding.remedy) == (not said.startswith("ok"))


def test_records_from_the_future_are_told_by_their_topic():
    [finding] = check_record_timestamps({"page-views", "cart-events"})
    assert str(finding).startswith("warn  clock of the records: cart-events, page-views hold")
    [finding] = check_record_timestamps(())
    assert str(finding).startswith("ok    clock of the records: no input holds a record")
