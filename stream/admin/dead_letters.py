"""``cartwake dead-letters``: lists what could not be processed and why, and sends it back.

Keys and values are personal data: they are copied from topic to topic, and shown only of one
letter and only on request.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Final

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import InvalidTimestampError, KafkaError, MessageSizeTooLargeError

from stream.adapters.kafka.administer import ask
from stream.adapters.kafka.connect import metadata, partition_counts, started
from stream.adapters.kafka.dead_letter_topic import DeadLetterRecord, letter, records
from stream.adapters.kafka.options import client_options
from stream.adapters.kafka.topic_rules import LARGEST_BYTES
from stream.adapters.wire.outgoing import ATTEMPT, rfc3339
from stream.config.settings import Settings
from stream.domain.policy import DAY_MS
from stream.domain.topics import DEAD_LETTERS, TOPICS
from stream.errors import CartwakeError

MAX_ATTEMPTS: Final = 3
# Also if the topic keeps them for longer: by then an erasure may be forgotten.
MAX_AGE_DAYS: Final = TOPICS[DEAD_LETTERS].retention_days
IN_FLIGHT: Final = 500
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Say = Callable[[str], None]
Situation = tuple[Mapping[str, int], int]  # partitions by topic, and now in milliseconds UTC
Check = tuple[str, Callable[[DeadLetterRecord, Situation], bool]]

# The first check that holds is why a letter is not sent back.
OBSTACLES: Final[Sequence[Check]] = (
    ("cut short, the original bytes are gone", lambda it, _: it.is_cut),
    (f"died {MAX_ATTEMPTS} times", lambda it, _: it.attempt >= MAX_ATTEMPTS),
    (
        f"older than {MAX_AGE_DAYS} days, for which erasures are sure to be remembered",
        lambda it, situation: written_ms(it) < situation[1] - MAX_AGE_DAYS * DAY_MS,
    ),
    ("its topic is gone", lambda it, situation: it.topic not in situation[0]),
    (
        "has no key, and its partition is gone",
        lambda it, situation: not it.has_key and it.partition >= situation[0][it.topic],
    ),
)


def list_(
    settings: Settings,
    reason: str | None = None,
    since: datetime | None = None,
    say: Say = print,
) -> int:
    """Print each dead letter in one line, the oldest first, and return the exit code.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached or stops answering, or there is no such topic.
    """
    ask(settings, _list(settings, reason, since, say))
    return 0


def show(settings: Settings, place: str, say: Say = print, *, value: bool = False) -> int:
    """Print everything about the letters of one record, and return the exit code.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached or stops answering, or there is no such topic or letter.
    """
    ask(settings, _show(settings, place, say, value=value))
    return 0


def replay(
    settings: Settings,
    reason: str | None = None,
    since: datetime | None = None,
    say: Say = print,
    *,
    dry_run: bool = False,
) -> int:
    """Send dead letters back to their topics, and return the exit code.

    They keep their timestamps, so that they count for the moment at which they were first
    written: an old grant must not outrank a newer refusal. An event that was applied before is
    skipped as a duplicate by its id.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached, stops answering or rejects some, or there is no such topic.
    """
    ask(settings, _replay(settings, reason, since, say, dry_run=dry_run))
    return 0


def written_ms(it: DeadLetterRecord) -> int:
    """Return when the original was written; if unknown, when it died."""
    return it.died_ms if it.appended_ms is None else it.appended_ms


def newest(letters: Iterable[DeadLetterRecord]) -> list[DeadLetterRecord]:
    """Return the newest letter of each record.

    A letter stays in its topic after it was sent back. If each copy were sent again, each would
    die again.
    """
    found: dict[bytes, DeadLetterRecord] = {}
    for it in letters:
        known = found.setdefault(it.digest, it)
        if (known.attempt, known.died_ms) < (it.attempt, it.died_ms):
            found[it.digest] = it
    return list(found.values())


def obstacle(it: DeadLetterRecord, situation: Situation) -> str | None:
    """Return why a letter cannot be sent back; None if it can."""
    return next((why for why, holds in OBSTACLES if holds(it, situation)), None)


async def _list(settings: Settings, reason: str | None, since: datetime | None, say: Say) -> None:
    letters = await _letters(settings, say)
    wanted = _matching(letters, reason, since)
    for it in sorted(wanted, key=lambda it: it.died_ms):
        say(str(it))
    say(_summary(wanted))
    counts = Counter(it.reason for it in wanted)
    for why in sorted(counts, key=lambda why: (-counts[why], why)) if len(counts) > 1 else ():
        say(f"{counts[why]:>9,}  {why}")
    if letters and not wanted:
        say(f"the others: {_summary(letters)}")


async def _show(settings: Settings, place: str, say: Say, *, value: bool) -> None:
    situation = partition_counts(await metadata(settings)), time.time_ns() // 1_000_000
    found = 0
    async with aclosing(records(settings, "looking for it")) as log:
        async for record in log:
            if (it := letter(record)) and it.place == place:
                found += 1
                for name, text in _facts(it, record, obstacle(it, situation), value=value):
                    say(f"{name:10}  {text}")
    if not found:
        raise CartwakeError(f"{DEAD_LETTERS} has no letter of {place}")


def _facts(
    it: DeadLetterRecord, record: ConsumerRecord, why_left: str | None, *, value: bool
) -> Iterable[tuple[str, str]]:
    yield "record", it.place
    yield "reason", f"{it.reason}: {it.detail}"
    yield "died", f"{rfc3339(it.died_ms)}, attempt {it.attempt}"
    yield "written", "unknown" if it.appended_ms is None else rfc3339(it.appended_ms)
    yield "lies at", f"{DEAD_LETTERS}-{it.at[0]}-{it.at[1]}"
    for name, stored in (("key", record.key), ("value", record.value)):
        yield name, "none" if stored is None else f"{len(stored):,} bytes"
        if value and stored is not None:
            # As Python prints bytes: without control codes for a terminal.
            yield "", repr(stored)
    yield (
        "replay",
        f"left ({why_left})" if why_left else f"would go back as attempt {it.attempt + 1}",
    )


async def _replay(
    settings: Settings, reason: str | None, since: datetime | None, say: Say, *, dry_run: bool
) -> None:
    letters = newest(await _letters(settings, say))
    wanted = _matching(letters, reason, since)
    situation = partition_counts(await metadata(settings)), time.time_ns() // 1_000_000
    chosen: list[DeadLetterRecord] = []
    for it in sorted(wanted, key=lambda it: it.died_ms):
        if why := obstacle(it, situation):
            say(f"left ({why}): {it}")
        else:
            chosen.append(it)
            if dry_run:
                say(f"would go back as attempt {it.attempt + 1}: {it}")
    if chosen and not dry_run:
        chosen = await _send(settings, {it.at: it for it in chosen}, say)
    say(f"{'would go back' if dry_run else 'sent back'}: {_summary(chosen)}")


async def _letters(settings: Settings, say: Say) -> list[DeadLetterRecord]:
    found: list[DeadLetterRecord] = []
    foreign = 0
    async with aclosing(records(settings, "reading dead letters")) as log:
        async for record in log:
            it = letter(record)
            if it is None:
                foreign += 1
            else:
                found.append(it)
    if foreign:
        say(f"records in {DEAD_LETTERS} that Cartwake did not write: {foreign:,}")
    return found


def _matching(
    letters: Iterable[DeadLetterRecord], reason: str | None, since: datetime | None
) -> list[DeadLetterRecord]:
    since_ms = 0 if since is None else (since - EPOCH) // timedelta(milliseconds=1)
    return [
        it for it in letters if it.died_ms >= since_ms and (reason is None or it.reason == reason)
    ]


def _summary(letters: Sequence[DeadLetterRecord]) -> str:
    reasons = Counter(it.reason for it in letters)
    parts = ", ".join(f"{reasons[reason]:,} {reason}" for reason in sorted(reasons))
    number = f"{len(letters):,} dead letter{'' if len(letters) == 1 else 's'}"
    return f"{number}: {parts}" if parts else number


async def _send(
    settings: Settings, chosen: Mapping[tuple[int, int], DeadLetterRecord], say: Say
) -> list[DeadLetterRecord]:
    """Send letters back and return those that Kafka has stored."""
    # Not idempotent: aiokafka counts a refused batch's sequence numbers as used, and Kafka then
    # refuses all that follow. A record sent twice is a duplicate anyway. The limit is above the
    # largest record that can be read here, so that Kafka's own limit decides.
    producer = AIOKafkaProducer(
        **client_options(settings.kafka), acks="all", max_request_size=2 * LARGEST_BYTES
    )
    sending = _Sending(producer)
    try:
        async with started(producer), aclosing(records(settings, "sending back")) as log:
            async for record in log:
                if it := chosen.get((record.partition, record.offset)):
                    await sending.send(it, record)
            await sending.settle()
    except (KafkaError, TimeoutError) as error:
        raise CartwakeError(
            f"Kafka at {settings.kafka.bootstrap} failed ({type(error).__name__}); "
            f"{len(sending.taken):,} of {len(chosen):,} dead letters were sent back"
        ) from error
    _complain(sending.refused, len(chosen), say)
    return sending.taken


def _complain(refused: Sequence[DeadLetterRecord], sent: int, say: Say) -> None:
    for it in refused:
        say(f"refused by Kafka, too large or too old for its topic: {it}")
    if refused:
        raise CartwakeError(f"{len(refused):,} of {sent:,} dead letters were refused by Kafka")


class _Sending:
    """Records in flight; each partition's stay in order, except those refused at first."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._flying: list[tuple[DeadLetterRecord, ConsumerRecord, Awaitable[object]]] = []
        self.taken: list[DeadLetterRecord] = []
        self.refused: list[DeadLetterRecord] = []

    async def send(self, it: DeadLetterRecord, record: ConsumerRecord) -> None:
        self._flying.append((it, record, await self._sent(it, record)))
        if len(self._flying) >= IN_FLIGHT:
            await self.settle()

    async def settle(self) -> None:
        """Wait until Kafka has answered for every record."""
        flying, self._flying = self._flying, []
        again = [(it, record) for it, record, answer in flying if not await self._took(it, answer)]
        # One refused record fails its whole batch: a batch for each shows which it was.
        for it, record in again:
            if not await self._took(it, await self._sent(it, record)):
                self.refused.append(it)

    async def _sent(self, it: DeadLetterRecord, record: ConsumerRecord) -> Awaitable[object]:
        # aiokafka does not send a record without key and value; for the worker both are empty.
        value = b"" if record.key is None and record.value is None else record.value
        # With a key, aiokafka partitions like Java's producer.
        partition = None if it.has_key else it.partition
        headers = [(ATTEMPT, str(it.attempt + 1).encode())]
        answer: Awaitable[object] = await self._producer.send(
            it.topic, value, record.key, partition, written_ms(it), headers
        )
        return answer

    async def _took(self, it: DeadLetterRecord, answer: Awaitable[object]) -> bool:
        try:
            await answer
        except (InvalidTimestampError, MessageSizeTooLargeError):
            return False
        self.taken.append(it)
        return True
