"""Whether this worker lives, progresses and serves: flags that the health page may read anytime."""

import logging
import time

from stream.edge.kafka.intake import Intake
from stream.edge.metrics import Metrics
from stream.edge.redis.connection import Connection

log = logging.getLogger(__name__)

SILENT_AFTER_S = 5.0
STUCK_AFTER_S = 30.0


class Vitals:
    """What is known at each beat of the event loop; two beats far apart mean it is stuck."""

    def __init__(self, metrics: Metrics, kafka: str) -> None:
        self._metrics = metrics
        self._kafka = kafka
        self._beat_at: float | None = None  # none before the event loop turns
        self._waiting: list[str] = ["the worker is starting"]
        self._said_silent = False
        self._stalled: list[int] = []

    def waits_for(self, what: str) -> None:
        """Note what the start is waiting for."""
        self._waiting = [what]

    def beat(self, intake: Intake, redis: Connection) -> None:
        """Look at everything that readiness depends on; called about once a second."""
        now = time.monotonic()
        self._beat_at = now
        # Where nothing is assigned nothing is fetched, and nothing is amiss.
        is_reading = intake.is_settled and not intake.is_idle
        answers = now - intake.answered < SILENT_AFTER_S or not is_reading
        self._say(answers=answers)
        self._metrics.kafka_up.set(answers)
        self._metrics.redis_up.set(redis.is_up)
        # While a server is away nothing can move, and a restart would not help.
        self._stalled = intake.shards.stalled(STUCK_AFTER_S) if answers and redis.is_up else []
        self._waiting = [
            why
            for holds, why in (
                (intake.is_settled, "shards are not claimed yet"),
                (answers, f"Kafka at {self._kafka} does not answer"),
                (redis.is_up, f"Redis at {redis.address} does not answer"),
                (not intake.shards.stopped, f"shards {sorted(intake.shards.stopped)} are stopped"),
            )
            if not holds
        ]

    def alive(self) -> tuple[bool, list[str]]:
        """Say whether the event loop turns, and every shard that has work moves."""
        still_s = 0.0 if self._beat_at is None else time.monotonic() - self._beat_at
        if still_s > STUCK_AFTER_S:
            return False, [f"the event loop has not turned for {still_s:.0f} s"]
        if self._stalled:
            return False, [f"shards {self._stalled} have not moved for {STUCK_AFTER_S:.0f} s"]
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
