"""Whether an event loop turns: a beat about once a second, which any thread may look at.

The one rule: a loop that has not begun to turn is not stuck: a start takes as long as it takes.
"""

import time

STUCK_AFTER_S = 30.0


class Pulse:
    """The time of the last beat; two of them far apart mean that something blocks the loop."""

    def __init__(self) -> None:
        self._beat_at: float | None = None

    def beat(self) -> float:
        """Note that the loop turns, and return the moment, on the monotonic clock in seconds."""
        self._beat_at = time.monotonic()
        return self._beat_at

    def stuck(self) -> str:
        """Return for how long the loop has not turned, if that is too long; empty: it turns."""
        still_s = 0.0 if self._beat_at is None else time.monotonic() - self._beat_at
        if still_s <= STUCK_AFTER_S:
            return ""
        return f"the event loop has not turned for {still_s:.0f} s"
