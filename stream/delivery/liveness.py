"""Whether a process that acts on triggers lives: flags that may be read anytime, on any thread.

The one rule: whoever waits for a server that is away is alive, for a restart would not help, and
repeats what was sent and could not be told. Where it may be Kafka's fault or our own, a fresh
client's word decides (``told``).
"""

import time
from collections.abc import Collection
from typing import Any, Final

from stream.delivery.dispatcher import Dispatcher
from stream.delivery.outcome_writer import OutcomeWriter
from stream.runtime.heartbeat import Pulse

# Far longer than the slowest mail: a dozen answers of its server, each within 30 s.
STUCK_AFTER_S: Final = 600.0


class Vitals:
    """What is known at each beat of the event loop. Implements ``watchdog.Watched``."""

    def __init__(self, desks: Collection[Dispatcher[Any]], teller: OutcomeWriter) -> None:
        self._desks, self._teller = desks, teller
        self._pulse = Pulse()
        self._excused_at = time.monotonic()  # when Kafka was last known to be away
        self._stuck = ""
        self._is_served = False

    def beat(self) -> None:
        """Look at all desks; called about once a second."""
        now = self._pulse.beat()
        # Who tries to tell an outcome again and again is not stuck, whatever Kafka says to others.
        if not self._teller.is_heard:
            self._excused_at = now
        still_s = {desk.name: desk.rounds.still_s(self._excused_at) for desk in self._desks}
        self._stuck = "; ".join(
            f"a task of {name} has not come round for {s:.0f} s"
            for name, s in still_s.items()
            if s > STUCK_AFTER_S
        )
        if not self._stuck:
            self._is_served = False

    def suspicion(self) -> str:
        """Implements ``Watched.suspicion``."""
        return self._stuck

    def told(self, *, is_served: bool) -> None:
        """Implements ``Watched.told``."""
        self._is_served = is_served
        if not is_served:
            self._excused_at, self._stuck = time.monotonic(), ""

    def alive(self) -> tuple[bool, list[str]]:
        """Implements ``Watched.alive``."""
        if stuck := self._pulse.stuck():
            return False, [stuck]
        if self._is_served and self._stuck:
            return False, [f"{self._stuck}, though Kafka serves others"]
        return True, []
