"""How many dead letters a shard takes before it stops, instead of draining its input into them.

Records count in merged order and are judged before they are folded, so that nothing of the batch
that exceeds the limit has been committed or published.
"""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from stream.shard.clock import Fact
from stream.shard.ports import DeadLetter

WINDOW = 2_000
"""The share is taken over so many records; it does not count before there were as many."""


class Tolerance(Struct, frozen=True):
    """The most dead letters allowed: one after the other, and as a share of all records."""

    max_in_a_row: int = 100
    max_share: float = 0.05


USUAL = Tolerance()


class LimitExceeded(Struct, frozen=True):
    """Too many dead letters: the first of them, the commonest reason, and the limit's name."""

    summary: str
    first: str
    reason: str
    limit: str

    def __str__(self) -> str:
        return f"{self.summary}, most of them {self.reason}, the first at {self.first}"

    @property
    def todo(self) -> str:
        """What the operator has to do."""
        return (
            "Nothing of them is committed. Mend the producer that writes them; then, to let those"
            f" in the log become dead letters, raise {self.limit} and restart."
        )


class _CountedLetter(Struct, frozen=True, gc=False):
    """A dead letter without its bytes; ``at`` counts the shard's records from its claim on."""

    at: int
    place: str
    reason: str


class DeadLetterLimit:
    """Compares the dead letters among a shard's records since its claim with what is allowed."""

    def __init__(self, tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self._seen = 0
        self._last: _CountedLetter | None = None
        self._row: Counter[str] = Counter()
        self._row_first = ""
        self._window: deque[_CountedLetter] = deque()

    def exceeded(self, inputs: Sequence[Fact[Any] | DeadLetter]) -> LimitExceeded | None:
        """Count the records of a batch; return the first limit that it exceeds, if any."""
        died = [
            _CountedLetter(at, f"{one.topic}-{one.partition}-{one.offset}", one.reason)
            for at, one in enumerate(inputs, self._seen)
            if isinstance(one, DeadLetter)
        ]
        self._seen += len(inputs)
        return next(filter(None, map(self._count, died)), None)

    def _count(self, died: _CountedLetter) -> LimitExceeded | None:
        self._remember(died)
        if self._row.total() > self._tolerance.max_in_a_row:
            return _excess(self._row, "in a row", self._row_first, "max_in_a_row")
        if died.at + 1 >= WINDOW and len(self._window) / WINDOW > self._tolerance.max_share:
            reasons = Counter(one.reason for one in self._window)
            among = f"among the last {WINDOW:,} records"
            return _excess(reasons, among, self._window[0].place, "max_share")
        return None

    def _remember(self, died: _CountedLetter) -> None:
        if self._last is None or self._last.at != died.at - 1:
            self._row.clear()
            self._row_first = died.place
        self._row[died.reason] += 1
        self._last = died
        self._window.append(died)
        while self._window[0].at <= died.at - WINDOW:
            self._window.popleft()


def _excess(reasons: Counter[str], where: str, first: str, limit: str) -> LimitExceeded:
    summary = f"{reasons.total():,} dead letters {where}"
    return LimitExceeded(summary, first, reasons.most_common(1)[0][0], f"dead_letters.{limit}")
