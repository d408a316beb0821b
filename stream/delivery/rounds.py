"""When each task at a desk last came round to look for something to do.

The one rule: it is noted and counted on the event loop alone.
"""

import asyncio
import time
from typing import Any


class Rounds:
    """The rounds of one desk's tasks, each of which looks again and again."""

    def __init__(self) -> None:
        self._came_at: dict[asyncio.Task[Any] | None, float] = {}

    def note(self) -> None:
        """Note that the task that runs has come round."""
        self._came_at[asyncio.current_task()] = time.monotonic()

    def still_s(self, since: float) -> float:
        """Return for how long the slowest task has not come round, in seconds.

        No longer than ``since``, a moment of the monotonic clock; so long where none ever has.
        """
        return time.monotonic() - max(since, min(self._came_at.values(), default=since))
