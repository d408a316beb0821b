"""The worker's clock: the system's time without its jumps.

It follows the machine's monotonic clock, and is set by the system clock only while Redis's clock
agrees. Without two clocks that agree the time is unknown: marks carry no new moment, so nothing
becomes due.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from stream.shard.ports import BEGINNING_MS

log = logging.getLogger(__name__)

AGREE_MS = 5_000
# An answer that takes longer does not say when it was given; far below what is called agreement.
PROMPT_MS = 2_000
SAID_ONCE_MS = 10_000
# It goes on while the machine sleeps, so waking up is no jump.
STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

NOT_REPORTED = "Redis has not told its time yet, so nothing becomes due"
UNCERTAIN = "clocks disagree, so nothing becomes due"

Ask = Callable[[], Awaitable[int | None]]


def system_ms() -> int:
    """Return the system clock, ms UTC. It may jump."""
    return time.time_ns() // 1_000_000


def _steady_ms() -> int:
    return time.clock_gettime_ns(STEADY) // 1_000_000


class Clocks(NamedTuple):
    """Three clocks, each as what it is ahead of the steady one; None where it is not known.

    ``own`` is what this worker has gone by, once two others had agreed on it.
    """

    own: int | None
    wall: int
    redis: int | None

    def vote(self) -> int | None:
        """Return by what to go on, None where no two agree.

        Only wall clock and Redis may set the time: two clocks that follow each other step by step
        would otherwise run away together while Redis is not there to be asked.
        """
        if _agree(self.wall, self.redis):
            return self.wall
        if _agree(self.own, self.wall) or _agree(self.own, self.redis):
            return self.own
        return None

    def latest(self) -> int:
        """Return the clock that is furthest ahead."""
        return max(clock for clock in self if clock is not None)

    def skews_s(self) -> dict[str, float]:
        """Return what the other two are ahead of this worker's, in seconds, as far as known."""
        own_ms = self.wall if self.own is None else self.own
        others = {"wall": self.wall, "redis": self.redis}
        return {name: (at - own_ms) / 1000 for name, at in others.items() if at is not None}

    def __str__(self) -> str:
        """Name the skews."""
        told = [f"{name} {skew_s:+.1f} s" for name, skew_s in self.skews_s().items()]
        unknown = ", redis unknown" if self.redis is None else ""
        return f"against this worker's clock: {', '.join(told)}{unknown}"


class Time(NamedTuple):
    """What the clock is ahead of the steady one, and the moment at which it is held, if it is.

    One value, because fetches read it on a thread of their own.
    """

    ahead_ms: int
    held_ms: int | None


class WorkerClock:
    """What time it is, and whether that can be trusted; safe to be read on any thread."""

    def __init__(
        self, system_ms: Callable[[], int] = system_ms, steady_ms: Callable[[], int] = _steady_ms
    ) -> None:
        """Trust nothing before the first comparison."""
        self._wall_ms = system_ms
        self._steady_ms = steady_ms
        self._time = Time(self._wall_ahead_ms(), BEGINNING_MS)
        self._own: int | None = None
        self._said, self._quiet_until_ms = "", BEGINNING_MS
        self.skews_s: dict[str, float] = {}
        self.doubt = NOT_REPORTED

    def now_ms(self) -> int:
        """Return the time; in doubt the latest that it may be, by which most has expired."""
        return self._steady_ms() + self._time.ahead_ms

    def moment_ms(self) -> int:
        """Return the time up to which things may become due; in doubt it stands still."""
        now = self._time
        return self._steady_ms() + now.ahead_ms if now.held_ms is None else now.held_ms

    async def compare(self, ask_redis: Ask) -> None:
        """Compare the three clocks; where Redis answers late or not at all, the two others."""
        asked_ms = self._steady_ms()
        redis_ms = await ask_redis()
        answered_ms = self._steady_ms()
        redis = None
        if redis_ms is not None and answered_ms - asked_ms <= PROMPT_MS:
            redis = redis_ms - (asked_ms + answered_ms) // 2
        self._settle(Clocks(self._own, self._wall_ahead_ms(), redis))

    def _wall_ahead_ms(self) -> int:
        return self._wall_ms() - self._steady_ms()

    def _settle(self, clocks: Clocks) -> None:
        ahead_ms = clocks.vote()
        self.skews_s = clocks.skews_s()
        if ahead_ms is None:
            self._time = Time(clocks.latest(), self.moment_ms())
        else:
            self._own = ahead_ms
            self._time = Time(ahead_ms, None)
        judged = _judged(clocks, ahead_ms)
        self.doubt = f"{judged} ({clocks})" if ahead_ms is None else ""
        self._say(clocks, judged)

    def _say(self, clocks: Clocks, judged: str) -> None:
        """Say once what has changed, and not every second where a clock is just at the limit."""
        steady_ms = self._steady_ms()
        if judged != self._said and steady_ms > self._quiet_until_ms:
            self._said, self._quiet_until_ms = judged, steady_ms + SAID_ONCE_MS
            level = logging.WARNING if judged else logging.INFO
            log.log(level, "%s (%s)", judged or "clocks agree again", clocks)


def _judged(clocks: Clocks, ahead_ms: int | None) -> str:
    """Return what is wrong with which clock, empty where nothing is."""
    if ahead_ms is None:
        return NOT_REPORTED if clocks.own is clocks.redis is None else UNCERTAIN
    if not _agree(ahead_ms, clocks.wall):
        return "the wall clock is wrong and is not followed"
    if clocks.redis is not None and not _agree(ahead_ms, clocks.redis):
        return "Redis's clock is wrong and is not followed"
    if clocks.own is not None and not _agree(ahead_ms, clocks.own):
        return "the time was wrong: wall clock and Redis agree on another"
    return ""


def _agree(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and abs(one - other) < AGREE_MS
