"""Merging a shard's topics into the one order in which its records are folded.

A record waits until every other topic of the shard has been read past it, or to an end that was
asked for after the record was received. So nothing overtakes a record whose producer had its
acknowledgement, and the order depends on the log alone, never on how it was cut into fetches.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Protocol

from msgspec import Struct

MAX_MARKS = 256
NEVER = float("-inf")
ALWAYS = float("inf")
LAST = (2**63, 0)


class Record(Protocol):
    """The fields of a record that are used here; Kafka's own type has them."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Mark(Struct, frozen=True, gc=False):
    """A fetch's answer: at ``asked`` (monotonic) or ``asked_ms`` (UTC) the end was no further."""

    asked: float
    asked_ms: int
    end: int


class LastRecord(Struct, frozen=True, array_like=True, gc=False):
    """The last record that was taken of a topic: its offset, and a digest of what it was."""

    offset: int
    digest: str


def last_record(record: Record) -> LastRecord:
    """Return what is kept of a record, to notice that another has taken its place."""
    parts = blake2b(str(record.timestamp).encode(), digest_size=8)
    for part in (record.key, record.value):
        parts.update(b"-" if part is None else b"%d:" % len(part) + part)
    return LastRecord(record.offset, parts.hexdigest())


class RewrittenError(Exception):
    """The log holds another record than the one that was read at an offset."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"another record is at {offset} than had been read there")


class Lane:
    """One topic's partition: records received and not taken, and its ends as fetches saw them.

    With ``last`` it begins at the record that was taken last, to check that it is still the same;
    until then nothing of the shard is released.
    """

    def __init__(self, rank: int, first: int, last: LastRecord | None = None) -> None:
        self.rank = rank
        self.first = first  # the first offset to be taken
        self.position = first if last is None else last.offset  # the next one to be received
        self.records: deque[tuple[Record, float]] = deque()
        self._last = last
        self._taken: Record | None = None
        self._marks: list[Mark] = []

    @property
    def is_checking(self) -> bool:
        """Whether it waits for the record that was taken last."""
        return self.position < self.first

    def receive(self, records: Iterable[Record], position: int, received: float) -> None:
        """Add records in offset order; ``position`` is the next offset that will be received.

        Raises
        ------
        RewrittenError
            The record that was taken last is another by now.
        """
        if self.is_checking:
            records = self._checked(records)
        self.records.extend((record, received) for record in records)
        self.position = position

    def _checked(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            if record.offset >= self.first:
                yield record
                continue
            is_last = self._last is not None and record.offset == self._last.offset
            if is_last and last_record(record) != self._last:
                raise RewrittenError(record.offset)

    def note_taken(self, record: Record) -> None:
        """Note the record that was taken last."""
        self._taken = record

    def last(self) -> LastRecord | None:
        """Return what is kept of the record that was taken last; None if it is not known."""
        if self._taken is not None:
            self._last, self._taken = last_record(self._taken), None
        return self._last

    def mark(self, mark: Mark) -> None:
        """Note a fetch's answer; of answers with the same end only the latest matters."""
        marks = self._marks
        if marks and marks[-1].end == mark.end:
            marks[-1] = mark
        else:
            marks.append(mark)
        if len(marks) > MAX_MARKS:
            del marks[1:-1:2]

    @property
    def next_offset(self) -> int:
        """The offset of the record that will be taken next."""
        return self.records[0][0].offset if self.records else max(self.position, self.first)

    def end_asked(self) -> float:
        """Return when the latest fetch was sent that found nothing beyond what was received."""
        return max((m.asked for m in self._marks if m.end <= self.position), default=NEVER)

    @property
    def clock_ms(self) -> int | None:
        """The latest moment at which everything stored by then has been taken; None: no such."""
        if self.is_checking:
            return None
        next_offset = self.next_offset
        reached = [mark.asked_ms for mark in self._marks if mark.end <= next_offset]
        return max(reached, default=None)

    def forget_old_marks(self) -> None:
        """Forget the marks that no longer matter: all reached ones but the last of them."""
        next_offset = self.next_offset
        reached = sum(mark.end <= next_offset for mark in self._marks)
        del self._marks[: max(0, reached - 1)]


class Merge:
    """The lanes of one shard, and the order in which their records leave."""

    def __init__(
        self, offsets: Mapping[str, int], last: Mapping[str, LastRecord] | None = None
    ) -> None:
        """Start at the given next offset per topic; the topics are in merge order.

        ``last`` are the records that were taken last, of the topics in which they are checked.
        """
        last = last or {}
        self.lanes = {
            topic: Lane(rank, at, last.get(topic))
            for rank, (topic, at) in enumerate(offsets.items())
        }

    def __len__(self) -> int:
        return sum(len(lane.records) for lane in self.lanes.values())

    def take(self, limit: int) -> list[Record]:
        """Remove and return the records that nothing can precede any more, at most ``limit``."""
        taken: list[Record] = []
        lanes = list(self.lanes.values())
        while len(taken) < limit and self._take_run(lanes, taken, limit):
            pass
        return taken

    def is_ready(self) -> bool:
        """Say whether there is a record to take."""
        heads = [lane for lane in self.lanes.values() if lane.records]
        if not heads:
            return False
        return min(heads, key=_key).records[0][1] < _released(self.lanes.values())

    def _take_run(self, lanes: list[Lane], taken: list[Record], limit: int) -> bool:
        """Take from the lane with the earliest head until another lane's head comes first."""
        heads = sorted((lane for lane in lanes if lane.records), key=_key)
        if not heads:
            return False
        lane = heads[0]
        before = _key(heads[1]) if len(heads) > 1 else LAST
        released = _released(lanes)
        count = len(taken)
        records, rank = lane.records, lane.rank
        while records and len(taken) < limit:
            record, received = records[0]
            if received >= released or (record.timestamp, rank) >= before:
                break
            taken.append(record)
            records.popleft()
        if len(taken) > count:
            lane.note_taken(taken[-1])
        return len(taken) > count

    def offsets(self) -> dict[str, int]:
        """Return the next offset to be taken, per topic."""
        return {topic: lane.next_offset for topic, lane in self.lanes.items()}

    def last(self) -> dict[str, LastRecord]:
        """Return the record that was taken last, per topic of which it is known."""
        found = {topic: lane.last() for topic, lane in self.lanes.items()}
        return {topic: last for topic, last in found.items() if last is not None}

    @property
    def clock_ms(self) -> int | None:
        """The latest moment at which everything stored by then has been taken in every topic."""
        clocks = [lane.clock_ms for lane in self.lanes.values()]
        reached = [clock for clock in clocks if clock is not None]
        return min(reached) if len(reached) == len(clocks) else None

    def forget_old_marks(self) -> None:
        """Forget what no longer matters of every lane's marks."""
        for lane in self.lanes.values():
            lane.forget_old_marks()

    def is_at_end(self) -> bool:
        """Say whether nothing waits here, and every topic has been read to an end."""
        return all(not lane.records and lane.end_asked() > NEVER for lane in self.lanes.values())


def _released(lanes: Iterable[Lane]) -> float:
    """Return the moment before which a record must be received for no empty lane to delay it."""
    return min((lane.end_asked() for lane in lanes if not lane.records), default=ALWAYS)


def _key(lane: Lane) -> tuple[int, int]:
    return lane.records[0][0].timestamp, lane.rank
