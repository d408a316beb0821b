"""Whether a program lives, makes progress and is ready: once for all long-running programs.

A program that waits for an unreachable server is alive, because a restart would not help. Where
missing progress may be Kafka's fault or our own client's, a probe with a new client decides. All
flags may be read at any time, on any thread.
"""

import asyncio
import time
from typing import Any, Final, NamedTuple

LOOP_STUCK_AFTER_S: Final = 30.0


class Expected(NamedTuple):
    """Something that has to happen within a time, counted from a monotonic moment."""

    what: str  # such as "shards have not been claimed"
    within_s: float
    since: float


class Liveness:
    """What the event loop notes about once a second. Implements ``watchdog.Watched``."""

    def __init__(self) -> None:
        self._beat_at: float | None = None
        self._waiting: tuple[str, ...] = ()
        self._stalled = ""
        self._suspicion = ""
        self._expected: Expected | None = None
        self._kafka_serves = False  # by the latest probe of what is suspected now
        self.excused_at = float("-inf")  # when a probe last found Kafka unavailable

    def beat(self) -> float:
        """Note that the event loop turns; return the moment, on the monotonic clock in seconds."""
        self._beat_at = time.monotonic()
        return self._beat_at

    def note_waiting(self, *reasons: str) -> None:
        """Note why the program is not ready; no reasons: it is."""
        self._waiting = reasons

    def note_stalled(self, reason: str) -> None:
        """Note why only a restart helps; empty: nothing has stalled."""
        self._stalled = reason

    def note_suspicion(self, reason: str) -> None:
        """Note missing progress that may be Kafka's fault; empty: there is progress."""
        self._suspicion = reason
        if not self.probe_reason():
            self._kafka_serves = False

    def expect(self, what: str, within_s: float) -> None:
        """Expect something from now on; ``what`` says what is missing if it does not happen."""
        self._expected = Expected(what, within_s, time.monotonic())

    def expect_nothing(self) -> None:
        """Note that what was expected has happened."""
        self._expected = None

    @property
    def is_expecting(self) -> bool:
        """Whether something is expected that has not happened yet."""
        return self._expected is not None

    def probe_reason(self) -> str:
        """Return why Kafka has to be probed with a new client; empty: it need not be."""
        if self._expected is not None:
            what, within_s, since = self._expected
            if (elapsed_s := time.monotonic() - since) > within_s:
                return f"{what} for {elapsed_s:.0f} s"
        return self._suspicion

    def note_probe(self, *, ok: bool) -> None:
        """Note whether a new client is served; while Kafka is unavailable nothing is overdue."""
        self._kafka_serves = ok
        if not ok:
            self.excused_at, self._suspicion = time.monotonic(), ""
            if self._expected is not None:
                self._expected = self._expected._replace(since=self.excused_at)

    def alive(self) -> tuple[bool, list[str]]:
        """Return whether a restart would not help, else why it would."""
        loop_s = 0.0 if self._beat_at is None else time.monotonic() - self._beat_at
        if loop_s > LOOP_STUCK_AFTER_S:
            return False, [f"the event loop has been blocked for {loop_s:.0f} s"]
        if self._stalled:
            return False, [self._stalled]
        if self._kafka_serves and (reason := self.probe_reason()):
            return False, [f"{reason}, although Kafka serves a new client"]
        return True, []

    def ready(self) -> tuple[bool, list[str]]:
        """Return whether the program does its work, else what it waits for."""
        is_alive, reasons = self.alive()
        reasons = [*reasons, *self._waiting]
        return is_alive and not reasons, reasons


class TaskProgress:
    """When each task of a group last looked for work; used on the event loop alone."""

    def __init__(self) -> None:
        self._at: dict[asyncio.Task[Any] | None, float] = {}

    def note(self) -> None:
        """Note that the current task looks for work."""
        self._at[asyncio.current_task()] = time.monotonic()

    def slowest_s(self, since: float) -> float:
        """Return for how many seconds the slowest task has made no progress.

        Nothing before ``since`` counts, a moment of the monotonic clock.
        """
        return time.monotonic() - max(since, min(self._at.values(), default=since))
