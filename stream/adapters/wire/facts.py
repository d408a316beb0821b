"""Kafka records about visitors as the fold takes them: a fact, or a dead letter."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from stream.adapters.wire.bots import is_bot
from stream.adapters.wire.codec import Rejected, check_key, clamp, decode
from stream.adapters.wire.outgoing import ATTEMPT
from stream.domain.events import Context
from stream.domain.visitor import VisitorKey
from stream.shard.clock import Fact
from stream.shard.merge import Record
from stream.shard.ports import DeadLetter

# Longer ones come from nobody who counts attempts.
ATTEMPT_DIGITS: Final = 3

# As ``VisitorKey`` does it, without its own call: this is done for every record.
_new_key: Final = partial(tuple.__new__, VisitorKey)


def read(records: Iterable[Record]) -> list[Fact[VisitorKey] | DeadLetter]:
    """Return what each record says, in order."""
    return [_read(record) for record in records]


def sent_by_bot(context: Context | None) -> bool:
    """Say whether the producer, or the list of crawlers, calls the sender a bot."""
    if context is None:
        return False
    return context.bot or (context.user_agent is not None and is_bot(context.user_agent))


def attempt_of(headers: Mapping[str, bytes | None]) -> int:
    """Return how often a record with these headers has been tried, itself included.

    Examples
    --------
    >>> attempt_of({"attempt": b"2"}), attempt_of({}), attempt_of({"attempt": b"many"})
    (2, 1, 1)
    """
    told = headers.get(ATTEMPT) or b""
    return max(1, int(told)) if len(told) <= ATTEMPT_DIGITS and told.isdigit() else 1


def dead_letter(fact: Fact[VisitorKey], reason: str, detail: str) -> DeadLetter:
    """Return the dead letter of a fact's record, with its original bytes."""
    if fact.record is None:
        raise ValueError("the fact has no record")
    return _dead(fact.record, reason, detail)


def _read(record: Record) -> Fact[VisitorKey] | DeadLetter:
    try:
        event = decode(record.value, record.topic)
        check_key(record.key, event)
    except Rejected as why:
        return _dead(record, why.reason, why.detail)
    # A log without timestamps (-1) says nothing of lateness.
    record_ms = record.timestamp if record.timestamp >= 0 else event.at_ms
    return Fact(
        _new_key((event.tenant, event.visitor)),
        event,
        clamp(event.at_ms, record_ms),
        record_ms,
        record.topic,
        sent_by_bot(event.context),
        record,
    )


def _dead(record: Record, reason: str, detail: str) -> DeadLetter:
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        reason=reason,
        detail=detail,
        # The lines of a replayed file have no headers.
        attempt=attempt_of(dict(getattr(record, "headers", ()))),
        appended_ms=record.timestamp if record.timestamp >= 0 else None,
    )
