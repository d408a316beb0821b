"""Whether this worker lives, progresses and serves: flags that may be read anytime, on any thread.

The one rule: whoever waits for a server that is away is alive, for a restart would not help. Where
it may be Kafka's fault or our own client's, a fresh client's word decides (``told``).
"""

import logging
import time

from stream.adapters.redis.connection import Connection
from stream.runtime.heartbeat import Pulse
from stream.runtime.worker_clock import WorkerClock
from stream.worker.intake import Intake
from stream.worker.metrics import Metrics

log = logging.getLogger(__name__)

SILENT_AFTER_S = 5.0
STUCK_AFTER_S = 30.0
# Joining waits for members that have died: for the rebalance time-out, twice the session's.
UNSETTLED_AFTER_S = 120.0
NEVER = float("-inf")


class Vitals:
    """What is known at each beat of the event loop. Implements ``watchdog.Watched``."""

    def __init__(self, metrics: Metrics, kafka: str) -> None:
        self._metrics = metrics
        self._kafka = kafka
        self._pulse = Pulse()
        self._waiting: list[str] = ["the worker is starting"]
        self._said_silent = False
        self._stalled: list[int] = []
        self._unsettled_at: float | None = None  # since when shards are to be claimed
        self._silent = ""
        self._excused_at = NEVER  # when Kafka was last known to be away
        self._is_served = False

    def waits_for(self, what: str) -> None:
        """Note what the start is waiting for, however long that takes."""
        self._waiting = [what]

    def begins(self) -> None:
        """Note that the servers are there: from now on, waiting has to end."""
        self._waiting = ["the pipeline is starting"]
        self._unsettled_at = time.monotonic()

    def beat(self, intake: Intake, redis: Connection, clock: WorkerClock) -> None:
        """Look at everything that readiness depends on; called about once a second."""
        now = self._pulse.beat()
        # Where nothing is assigned nothing is fetched, and nothing is amiss.
        is_reading = intake.is_settled and not intake.is_idle
        answers = now - intake.answered < SILENT_AFTER_S or not is_reading
        self._say(answers=answers)
        self._metrics.kafka_up.set(answers)
        self._metrics.redis_up.set(redis.is_up)
        intake.shards.observe()
        for name, skew_s in clock.skews_s.items():
            self._metrics.clock_skew_seconds.labels(name).set(skew_s)
        # While a server is away nothing can move, and a restart would not help.
        self._stalled = intake.shards.stalled(STUCK_AFTER_S) if answers and redis.is_up else []
        self._suspect(now, intake, is_redis_up=redis.is_up)
        self._waiting = [
            why
            for holds, why in (
                (intake.is_settled, "shards are not claimed yet"),
                (answers, f"Kafka at {self._kafka} does not answer"),
                (redis.is_up, f"Redis at {redis.address} does not answer"),
                (not clock.doubt, clock.doubt),
                (not intake.shards.stopped, f"shards {sorted(intake.shards.stopped)} are stopped"),
            )
            if not holds
        ]

    def _suspect(self, now: float, intake: Intake, *, is_redis_up: bool) -> None:
        """Note what has been waited for too long to take it for Kafka's fault unasked."""
        if intake.is_settled:
            self._unsettled_at = None
        elif self._unsettled_at is None or not is_redis_up:
            self._unsettled_at = now
        silent = intake.silent(STUCK_AFTER_S) if now - self._excused_at > STUCK_AFTER_S else []
        self._silent = _told_silent(silent)
        if not self.suspicion():
            self._is_served = False

    def suspicion(self) -> str:
        """Return for what a fresh client has to be asked whether Kafka serves; empty: nothing."""
        since = self._unsettled_at
        if since is not None and (still_s := time.monotonic() - since) > UNSETTLED_AFTER_S:
            return f"shards have not been claimed for {still_s:.0f} s"
        return self._silent

    def told(self, *, is_served: bool) -> None:
        """Note a fresh client's word; while Kafka is away, nothing has been waited for too long."""
        self._is_served = is_served
        if not is_served:
            self._excused_at, self._silent = time.monotonic(), ""
            if self._unsettled_at is not None:
                self._unsettled_at = self._excused_at

    def alive(self) -> tuple[bool, list[str]]:
        """Say whether the event loop turns, and all that has work moves, or cannot for now."""
        if stuck := self._pulse.stuck():
            return False, [stuck]
        if self._stalled:
            return False, [f"shards {self._stalled} have not moved for {STUCK_AFTER_S:.0f} s"]
        if self._is_served and (suspicion := self.suspicion()):
            return False, [f"{suspicion}, though Kafka serves others"]
        return True, []

    def ready(self) -> tuple[bool, list[str]]:
        """Say whether the worker owns its shards, and Redis and Kafka answer."""
        is_alive, reasons = self.alive()
        reasons = [*reasons, *self._waiting]
        return is_alive and not reasons, reasons

    def _say(self, *, answers: bool) -> None:
        if answers == self._said_silent:
            self._said_silent = not answers
            said = "answers again" if answers else "does not answer; waiting for it"
            log.warning("Kafka at %s %s", self._kafka, said)


def _told_silent(partitions: list[str]) -> str:
    if not partitions:
        return ""
    more = f" and {len(partitions) - 1} more" if partitions[1:] else ""
    return f"fetches of {partitions[0]}{more} have not been answered for {STUCK_AFTER_S:.0f} s"
