"""Everything that Cartwake publishes, as Kafka records: topic, key, value and headers.

Key and value depend on the effect alone, so a repeated record is the same. Headers follow
CloudEvents 1.0 (Kafka binding, binary mode), for dead letters KIP-1034 as well.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple, assert_never
from urllib.parse import quote

from stream.adapters.wire.codec import Rejected, encode_record
from stream.domain.records import Decision, Effect, Example, Trigger, TriggerCancel
from stream.domain.topics import (
    DEAD_LETTERS,
    DECISIONS,
    TOPICS,
    TRAINING_EXAMPLES,
    TRIGGER_CANCELS,
    TRIGGERS,
)
from stream.shard.ports import DeadLetter, Entry

# Headers that let a dead letter be sent back: which attempt it was, and when it was written first.
ATTEMPT: Final = "attempt"
APPENDED_MS: Final = "appended_ms"

JSON: Final = "application/json"
ANY_BYTES: Final = "application/octet-stream"

Headers = list[tuple[str, bytes]]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# RFC 3339 knows the years 1 to 9999, a record's timestamp more.
_EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_EARLIEST_MS: Final = (_EARLIEST - _EPOCH) // _MS
_LATEST_MS: Final = (_LATEST - _EPOCH) // _MS


class Facts(NamedTuple):
    """What the CloudEvents headers say of one record; ``at_ms`` is when it was owed."""

    topic: str
    id: str
    at_ms: int


def source_of(group: str) -> str:
    """Return the URI-reference that names a consumer group as the origin of its records.

    Examples
    --------
    >>> source_of("cartwake")
    '/cartwake/cartwake'
    """
    return f"/cartwake/{quote(group, safe='')}"


def outgoing(effect: Effect | DeadLetter, recorded_ms: int, source: str) -> Entry:
    """Return the record that tells of an effect, decided at ``recorded_ms`` by ``source``."""
    if isinstance(effect, DeadLetter):
        return Entry(
            DEAD_LETTERS, effect.key, effect.value, dead_letter_headers(effect, recorded_ms, source)
        )
    facts, key = _facts_and_key(effect)
    return Entry(
        topic=facts.topic,
        key=key.encode(),
        value=encode_record(effect),
        headers=cloud_event_headers(facts, recorded_ms, source),
        needs=(effect.kind, effect.tenant, effect.visitor) if isinstance(effect, Trigger) else None,
    )


def cloud_event_headers(
    facts: Facts, recorded_ms: int, source: str, content_type: str = JSON
) -> Headers:
    """Return the CloudEvents headers of a record.

    ``ce_source`` ends in the topic, because a trigger and its cancel share their ``ce_id``, and
    to CloudEvents two records with the same source and id are one.
    """
    version, origin, kind, content = _always(source, facts.topic, content_type)
    return [
        version,
        ("ce_id", facts.id.encode()),
        origin,
        kind,
        ("ce_time", rfc3339(facts.at_ms).encode()),
        ("ce_recordedtime", rfc3339(recorded_ms).encode()),
        content,
    ]


def dead_letter_headers(dead: DeadLetter, recorded_ms: int, source: str) -> Headers:
    """Return the headers of a dead letter: where it was read, and why it can't be processed."""
    facts = Facts(DEAD_LETTERS, f"{dead.topic}-{dead.partition}-{dead.offset}", recorded_ms)
    named = {
        "__streams.errors.topic": dead.topic,
        "__streams.errors.partition": str(dead.partition),
        "__streams.errors.offset": str(dead.offset),
        "__streams.errors.exception": f"{Rejected.__module__}.{Rejected.__qualname__}",
        "__streams.errors.message": dead.detail,
        "reason": str(dead.reason),
    }
    # Without them: the first attempt, and a log without timestamps.
    if dead.attempt > 1:
        named[ATTEMPT] = str(dead.attempt)
    if dead.appended_ms is not None:
        named[APPENDED_MS] = str(dead.appended_ms)
    return [
        *cloud_event_headers(facts, recorded_ms, source, ANY_BYTES),
        *((name, text.encode()) for name, text in named.items()),
    ]


@lru_cache(maxsize=1_024)  # records of one step tell of the same moments
def rfc3339(at_ms: int) -> str:
    """Return a moment as RFC 3339 in UTC; beyond the years 1 to 9999 their nearest moment.

    Examples
    --------
    >>> rfc3339(1)
    '1970-01-01T00:00:00.001Z'
    >>> rfc3339(2**53)
    '9999-12-31T23:59:59.999Z'
    """
    moment = _EPOCH + min(max(at_ms, _EARLIEST_MS), _LATEST_MS) * _MS
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


@lru_cache
def _always(source: str, topic: str, content_type: str) -> Headers:
    """Return the headers that all records of a topic share."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_source", f"{source}/{topic}".encode()),
        ("ce_type", TOPICS[topic].ce_type.encode()),
        ("content-type", content_type.encode()),
    ]


def _facts_and_key(effect: Effect) -> tuple[Facts, str]:
    match effect:
        case Trigger():
            return Facts(TRIGGERS, effect.trigger_id, effect.due_at_ms), effect.visitor
        case Decision():
            return Facts(DECISIONS, effect.decision_id, effect.at_ms), effect.visitor
        case TriggerCancel():
            return Facts(TRIGGER_CANCELS, effect.trigger_id, effect.at_ms), effect.visitor
        case Example():
            # A model's examples stay in one partition, in order.
            return Facts(TRAINING_EXAMPLES, effect.example_id, effect.at_ms), effect.model
        case _:
            assert_never(effect)
