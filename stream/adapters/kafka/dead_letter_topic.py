"""Reads the topic of dead letters: the headers of each one, and the progress of reading.

Headers are as untrusted as any record: only Cartwake's own are shown, without control codes.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from hashlib import blake2b
from typing import Final

from aiokafka import ConsumerRecord
from msgspec import Struct

from stream.adapters.kafka.reader import all_partitions, reading, records_until
from stream.adapters.wire.codec import Rejected
from stream.adapters.wire.facts import attempt_of
from stream.adapters.wire.outgoing import APPENDED_MS, rfc3339
from stream.config.settings import Settings
from stream.domain.topics import DEAD_LETTERS, LANES
from stream.runtime.progress import Progress

OURS: Final = f"{Rejected.__module__}.{Rejected.__qualname__}".encode()
DIGITS: Final = 19
SHOWN: Final = 200


class DeadLetterRecord(Struct, frozen=True):
    """A dead letter without its bytes; ``at`` is its own partition and offset.

    ``digest`` is the same for the same bytes of the same topic, but never for two letters that are
    cut short.
    """

    at: tuple[int, int]
    died_ms: int
    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    attempt: int
    appended_ms: int | None
    has_key: bool
    is_cut: bool
    digest: bytes

    @property
    def place(self) -> str:
        """Topic, partition and offset of the original record."""
        return f"{self.topic}-{self.partition}-{self.offset}"

    def __str__(self) -> str:
        parts = (
            rfc3339(self.died_ms),
            self.place,
            self.reason,
            f"attempt {self.attempt}",
            self.detail,
        )
        return "  ".join(parts)


def letter(record: ConsumerRecord) -> DeadLetterRecord | None:
    """Return a record of the topic as a dead letter; None if Cartwake did not write it."""
    headers = dict(record.headers)
    topic = _text(headers, "__streams.errors.topic")
    partition = _number(headers, "__streams.errors.partition")
    offset = _number(headers, "__streams.errors.offset")
    # Another program's record may quote ours.
    is_ours = headers.get("__streams.errors.exception") == OURS
    if topic not in LANES or partition is None or offset is None or not is_ours:
        return None
    is_cut = "truncated" in headers
    return DeadLetterRecord(
        at=(record.partition, record.offset),
        died_ms=record.timestamp,
        topic=topic,
        partition=partition,
        offset=offset,
        reason=_text(headers, "reason"),
        detail=_text(headers, "__streams.errors.message"),
        attempt=attempt_of(headers),
        appended_ms=_number(headers, APPENDED_MS),
        has_key=record.key is not None,
        is_cut=is_cut,
        digest=_digest(topic, record, salt=b"%d-%d" % (partition, offset) if is_cut else b""),
    )


async def records(settings: Settings, doing: str) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield the current records, each partition in its order; progress goes to stderr.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached, or there is no such topic.
    TimeoutError
        Kafka has stopped answering.
    """
    partitions = await all_partitions(settings, [DEAD_LETTERS])
    async with reading(settings.kafka, partitions) as consumer:
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        left = {part: end for part, end in ends.items() if starts[part] < end}
        total = sum(end - starts[part] for part, end in left.items())
        with Progress(doing, total) as progress:
            async with aclosing(records_until(consumer, left)) as log:
                async for record in log:
                    yield record
                    progress.advance(1)


def _text(headers: Mapping[str, bytes | None], name: str) -> str:
    text = (headers.get(name) or b"").decode(errors="replace")[:SHOWN]
    return "".join(char if char.isprintable() else "?" for char in text)


def _number(headers: Mapping[str, bytes | None], name: str) -> int | None:
    text = headers.get(name) or b""
    return int(text) if len(text) <= DIGITS and text.isdigit() else None


def _digest(topic: str, record: ConsumerRecord, salt: bytes) -> bytes:
    digest = blake2b(digest_size=16)
    for part in (topic.encode(), salt, record.key, record.value):
        digest.update(b"none" if part is None else b"%d:" % len(part) + part)
    return digest.digest()
