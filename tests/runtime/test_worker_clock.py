import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.runtime.worker_clock import (
    AGREE_MS,
    NOT_REPORTED,
    PROMPT_MS,
    SAID_ONCE_MS,
    Clocks,
    WorkerClock,
)
from stream.shard.ports import BEGINNING_MS
from tests.scenarios.world import HOUR, MINUTE, SECOND, T0
from tests.worker.ashore import DUE_MS, LEFT_CART, Bench, write

NEAR, FAR = AGREE_MS - 1, AGREE_MS


class Machine:
    """The true time, and how far two clocks are off it; ``redis_off`` None is a Redis away."""

    def __init__(self, now_ms=T0):
        self.true_ms, self.steady_ms = now_ms, 7_000
        self.wall_off, self.redis_off, self.answer_ms = 0, 0, 0
        self.clock = WorkerClock(lambda: self.true_ms + self.wall_off, lambda: self.steady_ms)

    def pass_ms(self, milliseconds):
        self.true_ms += milliseconds
        self.steady_ms += milliseconds

    async def compare(self):
        await self.clock.compare(self._ask)

    async def _ask(self):
        self.pass_ms(self.answer_ms // 2)
        told = None if self.redis_off is None else self.true_ms + self.redis_off
        self.pass_ms(self.answer_ms - self.answer_ms // 2)
        return told

    def error_ms(self):
        """Return how far the time for due things is ahead of the true one."""
        return self.clock.moment_ms() - self.true_ms


@pytest.fixture
async def machine():
    """A machine whose clock has been compared once, and was right."""
    made = Machine()
    await made.compare()
    return made


@pytest.fixture
def said(caplog):
    """Return the log's lines so far, when called."""
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


# The vote


@pytest.mark.parametrize(
    ("own", "wall", "redis", "outcome"),
    [
        (0, 0, 0, 0),
        (0, NEAR, NEAR, NEAR),  # all have drifted a little: the wall clock counts
        (0, NEAR, None, 0),  # it alone sets nothing
        (0, NEAR, -NEAR, 0),
        (0, HOUR, 0, 0),  # the wall clock jumped
        (0, -HOUR, 0, 0),
        (0, HOUR, -NEAR, 0),
        (0, 0, HOUR, 0),  # Redis's jumped
        (0, 0, -HOUR, 0),
        (0, HOUR, HOUR, HOUR),  # own was wrong
        (0, -HOUR, -HOUR, -HOUR),
        (0, HOUR, HOUR + NEAR, HOUR),
        (0, HOUR, None, None),  # nobody to ask
        (0, FAR, None, None),
        (0, HOUR, -HOUR, None),  # everybody says something else
        (0, FAR, -FAR, None),
        (0, FAR, 2 * FAR, None),
        (None, 0, 0, 0),  # the start
        (None, NEAR, 0, NEAR),
        (None, 0, FAR, None),
        (None, 0, None, None),
    ],
)
def test_two_of_three_clocks_that_agree_say_what_time_it_is(own, wall, redis, outcome):
    assert Clocks(own, wall, redis).vote() == outcome


# The clock


def test_before_redis_was_asked_nothing_is_trusted():
    clock = Machine().clock
    assert (clock.now_ms(), clock.moment_ms()) == (T0, BEGINNING_MS)
    assert clock.doubt == NOT_REPORTED


async def test_once_redis_agrees_time_goes_on(machine):
    machine.pass_ms(MINUTE)
    assert machine.clock.now_ms() == machine.clock.moment_ms() == T0 + MINUTE
    assert machine.clock.doubt == ""


@pytest.mark.parametrize("jump_ms", [HOUR, -HOUR, FAR, -FAR])
async def test_a_wall_clock_that_jumps_is_not_followed(machine, jump_ms, said):
    machine.wall_off = jump_ms
    for _ in range(3):
        machine.pass_ms(SECOND)
        assert machine.error_ms() == 0  # neither before it is noticed
        await machine.compare()
        assert machine.error_ms() == 0  # nor after
    assert machine.clock.now_ms() == machine.true_ms
    assert machine.clock.skews_s == {"wall": jump_ms / 1000, "redis": 0}
    assert machine.clock.doubt == ""
    (line,) = said()
    assert line.startswith("the wall clock is wrong and is not followed")
    assert f"wall {jump_ms / 1000:+.1f} s, redis +0.0 s" in line


async def test_a_redis_whose_clock_jumps_is_not_followed(machine, said):
    machine.redis_off = HOUR
    await machine.compare()
    assert (machine.error_ms(), machine.clock.doubt) == (0, "")
    (line,) = said()
    assert line.startswith("Redis's clock is wrong and is not followed")


@pytest.mark.parametrize("jump_ms", [HOUR, -HOUR])
async def test_with_redis_away_a_jump_holds_fire_until_two_agree(machine, jump_ms, said):
    machine.redis_off = None
    await machine.compare()
    assert machine.error_ms() == 0  # its absence alone is no reason to doubt
    machine.wall_off = jump_ms
    await machine.compare()
    held_ms = machine.clock.moment_ms()
    assert held_ms == machine.true_ms
    for _ in range(3):
        machine.pass_ms(MINUTE)
        await machine.compare()
    assert machine.clock.moment_ms() == held_ms
    assert machine.clock.doubt == (
        "clocks disagree, so nothing becomes due (against this worker's clock: wall"
        f" {jump_ms / 1000:+.1f} s, redis unknown)"
    )
    assert said() == [machine.clock.doubt]
    machine.redis_off = 0
    await machine.compare()
    assert (machine.error_ms(), machine.clock.doubt) == (0, "")


async def test_in_doubt_most_has_expired(machine):
    machine.redis_off, machine.wall_off = -HOUR, HOUR
    await machine.compare()
    machine.pass_ms(SECOND)
    assert machine.clock.now_ms() == machine.true_ms + HOUR
    machine.wall_off, machine.redis_off = -HOUR, None
    await machine.compare()
    assert machine.clock.now_ms() == machine.true_ms


@pytest.mark.parametrize("off_ms", [HOUR, -HOUR])
async def test_a_worker_that_starts_with_a_wrong_clock_holds_fire(off_ms):
    machine = Machine()
    machine.wall_off = off_ms
    await machine.compare()
    assert machine.clock.moment_ms() == BEGINNING_MS
    assert "clocks disagree" in machine.clock.doubt
    machine.wall_off = 0
    await machine.compare()
    assert (machine.error_ms(), machine.clock.doubt) == (0, "")


async def test_a_start_without_redis_knows_no_time():
    machine = Machine()
    machine.redis_off = None
    await machine.compare()
    assert (machine.clock.moment_ms(), machine.clock.doubt[: len(NOT_REPORTED)]) == (
        BEGINNING_MS,
        NOT_REPORTED,
    )


async def test_where_wall_clock_and_redis_agree_the_worker_was_wrong(machine, said):
    machine.true_ms += HOUR  # the machine was restored from a snapshot
    assert machine.error_ms() == -HOUR
    await machine.compare()
    assert machine.error_ms() == 0
    assert said()[0].startswith("the time was wrong: wall clock and Redis agree on another")


async def test_a_wall_clock_that_runs_away_step_by_step_is_left_behind(machine):
    for _ in range(100):
        machine.pass_ms(SECOND)
        machine.wall_off += SECOND
        await machine.compare()
        assert machine.error_ms() < AGREE_MS
    machine.redis_off = None
    for _ in range(100):
        machine.wall_off -= SECOND
        await machine.compare()
        assert machine.error_ms() < AGREE_MS


async def test_an_answer_that_took_long_says_nothing_of_the_time(machine):
    machine.answer_ms = PROMPT_MS + 1
    machine.redis_off = HOUR
    await machine.compare()
    assert machine.clock.skews_s == {"wall": 0}
    machine.answer_ms = PROMPT_MS
    await machine.compare()
    assert machine.clock.skews_s == {"wall": 0, "redis": HOUR / 1000}


async def test_a_clock_just_at_the_limit_is_not_mentioned_every_second(machine, said, caplog):
    for second in range(8):
        machine.wall_off = FAR if second % 2 else 0
        machine.pass_ms(SECOND)
        await machine.compare()
    assert len(said()) == 1
    machine.wall_off = 0
    await machine.compare()
    assert len(said()) == 1
    machine.pass_ms(SAID_ONCE_MS)
    await machine.compare()
    assert said()[-1].startswith("clocks agree again")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


offs = st.integers(-2 * HOUR, 2 * HOUR)
steps = st.lists(
    st.tuples(st.integers(0, MINUTE), offs | st.just(0), st.none() | st.just(0) | offs), max_size=20
)


@given(steps)
async def test_whatever_clocks_do_time_goes_its_pace_but_where_wall_and_redis_agree(history):
    machine, furthest_ms = Machine(), BEGINNING_MS
    for passed_ms, wall_off, redis_off in history:
        machine.pass_ms(passed_ms)
        furthest_ms += passed_ms
        machine.wall_off, machine.redis_off = wall_off, redis_off
        assert machine.clock.moment_ms() <= furthest_ms
        await machine.compare()
        if redis_off is not None and abs(wall_off - redis_off) < AGREE_MS:
            furthest_ms = machine.true_ms + wall_off
        assert machine.clock.moment_ms() <= furthest_ms


@given(steps)
async def test_while_redis_is_right_time_is_never_ahead_of_it(history):
    machine = Machine()
    for passed_ms, wall_off, is_there in history:
        machine.pass_ms(passed_ms)
        machine.wall_off, machine.redis_off = wall_off, None if is_there is None else 0
        await machine.compare()
        assert machine.error_ms() < AGREE_MS


# The pipeline


@pytest.mark.parametrize("jump_ms", [HOUR, -HOUR])
@pytest.mark.parametrize("redis_is_there", [True, False])
async def test_no_jump_makes_a_reminder_early_and_agreement_makes_it_due(jump_ms, redis_is_there):
    machine, bench = Machine(), Bench()
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await machine.compare()
    for until_ms in range(T0 + MINUTE, DUE_MS, MINUTE):
        machine.pass_ms(until_ms - machine.true_ms)
        if until_ms > T0 + 10 * MINUTE:
            machine.wall_off, machine.redis_off = jump_ms, 0 if redis_is_there else None
        await machine.compare()
        bench.now_ms = machine.clock.moment_ms()
        await bench.work()
    assert bench.published("triggers") == []
    machine.pass_ms(DUE_MS - machine.true_ms)
    machine.redis_off = 0
    await machine.compare()
    bench.now_ms = machine.clock.moment_ms()
    await bench.work()
    assert len(bench.published("triggers")) == 1
