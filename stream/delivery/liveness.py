"""What a program that delivers triggers notes at each beat of its event loop."""

import time
from collections.abc import Collection
from typing import Any, Final

from stream.delivery.dispatcher import Dispatcher
from stream.delivery.outcome_writer import OutcomeWriter
from stream.runtime.liveness import Liveness

# Far longer than the slowest mail: a dozen answers of its server, each within 30 s.
STUCK_AFTER_S: Final = 600.0


class DeliveryLiveness(Liveness):
    """Liveness of an e-mailer or of webhooks."""

    def __init__(self, dispatchers: Collection[Dispatcher[Any]], outcomes: OutcomeWriter) -> None:
        super().__init__()
        self._dispatchers, self._outcomes = dispatchers, outcomes
        self.excused_at = time.monotonic()

    def observe(self) -> None:
        """Note the progress of all dispatchers; called about once a second."""
        now = self.beat()
        # A task that writes an outcome again and again is not stuck, whatever a probe finds, and a
        # restart would send once more what has been sent.
        if not self._outcomes.is_up:
            self.excused_at = now
        idle_s = {one.name: one.progress.slowest_s(self.excused_at) for one in self._dispatchers}
        self.note_suspicion(
            "; ".join(
                f"a task of {name} has made no progress for {seconds:.0f} s"
                for name, seconds in idle_s.items()
                if seconds > STUCK_AFTER_S
            )
        )
        self.note_waiting(
            *(why for one in self._dispatchers for why in one.reader.not_ready_reasons())
        )
