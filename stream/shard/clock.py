"""The two clocks of a shard, which say what is due and by which moment it is judged.

The one rule: no clock reads the time; moments come with the batch.
"""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from stream.domain.events import AnyEvent
from stream.domain.visitor import VisitorKey
from stream.shard.ports import BEGINNING_MS

LAST_MS = 2**63


class Fact(Struct, frozen=True, gc=False):
    """An event as the fold takes it: ``at_ms`` is clamped, ``record_ms`` is its record's time."""

    who: VisitorKey
    event: AnyEvent
    at_ms: int
    record_ms: int
    topic: str
    bot: bool = False


class Clock(Protocol):
    """What a step asks of its clock. Every moment is inclusive."""

    after_ms: int
    """The clock after the step, to be kept with the watermark."""

    def due_before(self, fact: Fact) -> int:
        """Return up to when its visitor's deadlines come before a fact; called in merged order."""

    def judged_at(self, fact: Fact) -> int:
        """Return the moment by which a fact is judged."""

    def due_after(self) -> int:
        """Return up to when deadlines come after the step's last fact."""

    def judged_by(self) -> int | None:
        """Return the moment by which deadlines are judged; None: each by its own."""


class LiveClock:
    """All that was stored by ``after_ms`` has been applied; it stands still while a backlog drains.

    Facts come before deadlines, even before those that an earlier step left over: what has become
    of a visitor meanwhile counts.
    """

    def __init__(self, before_ms: int, reached_ms: int | None, wall_ms: int) -> None:
        """Start at the last step's clock; ``reached_ms`` is None where no end was reached yet."""
        self._wall_ms = wall_ms
        self.after_ms = before_ms if reached_ms is None else max(before_ms, reached_ms)

    def due_before(self, fact: Fact) -> int:  # noqa: ARG002 - the same for every fact
        """Implements ``Clock``: none."""
        return BEGINNING_MS

    def judged_at(self, fact: Fact) -> int:  # noqa: ARG002 - the same for every fact
        """Implements ``Clock``: an answer to an exit signal is useful for seconds of real time."""
        return self._wall_ms

    def due_after(self) -> int:
        """Implements ``Clock``: a clock that once ran ahead makes nothing due before its time."""
        return min(self.after_ms, self._wall_ms)

    def judged_by(self) -> int:
        """Implements ``Clock``: what has become of the visitors meanwhile counts."""
        return self.due_after()


class RecordsClock:
    """The timestamp of the next record in merged order; never the wall clock."""

    def __init__(
        self, before_ms: int, facts: Iterable[Fact], *, at_end: bool, no_later_than: int = LAST_MS
    ) -> None:
        """Start at the last step's clock; ``at_end``: nothing is known to follow this step.

        It stops at ``no_later_than``, whatever a record's timestamp says.
        """
        self._running_ms = before_ms
        self._last_ms = no_later_than
        self._at_end = at_end
        latest_ms = max((fact.record_ms for fact in facts), default=before_ms)
        self.after_ms = max(min(latest_ms, no_later_than), before_ms)

    def due_before(self, fact: Fact) -> int:
        """Implements ``Clock``: strictly before the record."""
        if fact.record_ms > self._running_ms:
            self._running_ms = max(self._running_ms, min(fact.record_ms, self._last_ms))
        return self._running_ms - 1

    def judged_at(self, fact: Fact) -> int:
        """Implements ``Clock``."""
        return fact.at_ms

    def due_after(self) -> int:
        """Implements ``Clock``: after the last record its own timestamp, inclusive."""
        return self.after_ms if self._at_end else self.after_ms - 1

    def judged_by(self) -> None:
        """Implements ``Clock``: each deadline by its own moment."""
