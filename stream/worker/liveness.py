"""What a worker notes at each beat of its event loop: progress, servers, clocks, readiness."""

import logging
from typing import Final

from stream.adapters.redis.connection import Connection
from stream.runtime.liveness import Liveness
from stream.runtime.worker_clock import WorkerClock
from stream.worker.intake import Intake
from stream.worker.metrics import Metrics

log = logging.getLogger(__name__)

SILENT_AFTER_S: Final = 5.0
STUCK_AFTER_S: Final = 30.0
# Joining a group waits for members that have died: up to the rebalance time-out, which is twice
# that of the session.
UNCLAIMED_AFTER_S: Final = 120.0


class WorkerLiveness(Liveness):
    """Liveness of a worker."""

    def __init__(self, metrics: Metrics, kafka: str) -> None:
        super().__init__()
        self._metrics, self._kafka = metrics, kafka
        self._was_silent = False
        self.note_waiting("the worker is starting")

    def pipeline_starts(self) -> None:
        """Note that the servers are there: from now on shards have to be claimed within a time."""
        self.note_waiting("the pipeline is starting")
        self._expect_claims()

    def observe(self, intake: Intake, redis: Connection, clock: WorkerClock) -> None:
        """Note everything that liveness and readiness depend on; called about once a second."""
        now = self.beat()
        # A worker without shards fetches nothing, so no answer is missing.
        is_reading = intake.is_settled and not intake.is_idle
        answers = now - intake.answered < SILENT_AFTER_S or not is_reading
        self._log_kafka(answers=answers)
        self._measure(intake, clock, answers=answers, is_redis_up=redis.is_up)
        # While a server is unavailable no shard can move, and a restart would not help.
        stalled = intake.shards.stalled(STUCK_AFTER_S) if answers and redis.is_up else []
        self.note_stalled(
            f"shards {stalled} have not moved for {STUCK_AFTER_S:.0f} s" if stalled else ""
        )
        self._suspect(now, intake, is_redis_up=redis.is_up)
        reasons = (
            (intake.is_settled, "shards are not claimed yet"),
            (answers, f"Kafka at {self._kafka} does not answer"),
            (redis.is_up, f"Redis at {redis.address} does not answer"),
            (not clock.doubt, clock.doubt),
            (not intake.shards.stopped, f"shards {sorted(intake.shards.stopped)} are stopped"),
        )
        self.note_waiting(*(reason for is_met, reason in reasons if not is_met))

    def _measure(
        self, intake: Intake, clock: WorkerClock, *, answers: bool, is_redis_up: bool
    ) -> None:
        self._metrics.kafka_up.set(answers)
        self._metrics.redis_up.set(is_redis_up)
        intake.shards.observe()
        for name, skew_s in clock.skews_s.items():
            self._metrics.clock_skew_seconds.labels(name).set(skew_s)

    def _suspect(self, now: float, intake: Intake, *, is_redis_up: bool) -> None:
        """Note what has been missing for too long, and which may be our own client's fault."""
        if intake.is_settled:
            self.expect_nothing()
        elif not self.is_expecting or not is_redis_up:
            self._expect_claims()
        silent = intake.silent(STUCK_AFTER_S) if now - self.excused_at > STUCK_AFTER_S else []
        self.note_suspicion(_unanswered(silent))

    def _expect_claims(self) -> None:
        self.expect("shards have not been claimed", UNCLAIMED_AFTER_S)

    def _log_kafka(self, *, answers: bool) -> None:
        if answers and self._was_silent:
            log.info("Kafka at %s answers again", self._kafka)
        elif not answers and not self._was_silent:
            log.warning("Kafka at %s does not answer; waiting for it", self._kafka)
        self._was_silent = not answers


def _unanswered(partitions: list[str]) -> str:
    if not partitions:
        return ""
    more = f" and {len(partitions) - 1} more" if partitions[1:] else ""
    return f"fetches of {partitions[0]}{more} have not been answered for {STUCK_AFTER_S:.0f} s"
