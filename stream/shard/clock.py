"""The two clocks of a shard, which say what is due and by which moment it is judged.

No clock reads the time: moments come with the batch.
"""

from collections.abc import Iterable
from typing import Any, Generic, Protocol

from msgspec import Struct

from stream.shard.merge import Record
from stream.shard.ports import BEGINNING_MS, KeyT

LAST_MS = 2**63


class Fact(Struct, Generic[KeyT], frozen=True, gc=False):
    """An event about one key, as the fold takes it.

    ``at_ms`` is the event's time, clamped; ``record_ms`` is the timestamp of its record. The event
    is opaque here but for its own ``at_ms``. ``record`` brought it, for a possible dead letter.
    ``received_ms`` is when a replayed event was received; None: ``record_ms`` says it.
    """

    key: KeyT
    event: Any
    at_ms: int
    record_ms: int
    topic: str
    bot: bool = False
    record: Record | None = None
    received_ms: int | None = None


class Clock(Protocol):
    """What a step asks of its clock. Every moment is inclusive."""

    after_ms: int
    """The clock after the step, to be kept with the watermark."""
    due_before_ms: int
    """Deadlines up to here are handled before the fact that the clock has advanced to."""

    def begin(self) -> None:
        """Go back to the start of the step: a step may be folded again."""

    def advance(self, fact: Fact[Any]) -> None:
        """Move on to the next fact; called in merged order."""

    def judged_at(self, fact: Fact[Any]) -> int:
        """Return the moment by which a fact is judged."""

    def due_after(self) -> int:
        """Return up to when deadlines are handled after the step's last fact."""

    def judged_by(self) -> int | None:
        """Return the moment by which deadlines are judged; None: each by its own."""


class LiveClock:
    """All that was stored by ``after_ms`` has been applied; it stands still while a backlog drains.

    Facts come before deadlines, even before those that an earlier step left over: deadlines are
    judged by what has become of the visitor meanwhile.
    """

    due_before_ms = BEGINNING_MS

    def __init__(self, before_ms: int, reached_ms: int | None, wall_ms: int) -> None:
        """Start at the last step's clock; ``reached_ms`` is None if no end was reached yet."""
        self._wall_ms = wall_ms
        self.after_ms = before_ms if reached_ms is None else max(before_ms, reached_ms)

    def begin(self) -> None:
        """Implements ``Clock``: it stands still within a step."""

    def advance(self, fact: Fact[Any]) -> None:
        """Implements ``Clock``: it stands still within a step."""

    def judged_at(self, fact: Fact[Any]) -> int:  # noqa: ARG002 - the same for every fact
        """Implements ``Clock``: an answer to an exit signal is useful for seconds of real time."""
        return self._wall_ms

    def due_after(self) -> int:
        """Implements ``Clock``: a clock that once ran ahead makes nothing due before its time."""
        return min(self.after_ms, self._wall_ms)

    def judged_by(self) -> int:
        """Implements ``Clock``: by the state as it has become meanwhile."""
        return self.due_after()


class RecordsClock:
    """The timestamp of the next record in merged order; never the system clock."""

    def __init__(
        self,
        before_ms: int,
        facts: Iterable[Fact[Any]],
        *,
        at_end: bool,
        no_later_than: int = LAST_MS,
    ) -> None:
        """Start at the last step's clock; ``at_end``: no further record is expected.

        It stops at ``no_later_than``, whatever a record's timestamp says.
        """
        self._before_ms = before_ms
        self.due_before_ms = before_ms - 1
        self._last_ms = no_later_than
        self._at_end = at_end
        latest_ms = max((fact.record_ms for fact in facts), default=before_ms)
        self.after_ms = max(min(latest_ms, no_later_than), before_ms)

    def begin(self) -> None:
        """Implements ``Clock``."""
        self.due_before_ms = self._before_ms - 1

    def advance(self, fact: Fact[Any]) -> None:
        """Implements ``Clock``: deadlines strictly before the record come first."""
        if fact.record_ms - 1 > self.due_before_ms:
            self.due_before_ms = max(self.due_before_ms, min(fact.record_ms, self._last_ms) - 1)

    def judged_at(self, fact: Fact[Any]) -> int:
        """Implements ``Clock``."""
        return fact.at_ms

    def due_after(self) -> int:
        """Implements ``Clock``: after the last record its own timestamp, inclusive."""
        return self.after_ms if self._at_end else self.after_ms - 1

    def judged_by(self) -> None:
        """Implements ``Clock``: each deadline by its own moment."""
