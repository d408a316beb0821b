"""The sink in Kafka: an idempotent producer, acknowledged by all replicas.

A record that cannot be sent now is sent later; only Kafka's own limits change a record.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Sequence
from typing import Final, NamedTuple

from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from stream.adapters.kafka.record_batches import RecordBatches
from stream.domain.topics import DEAD_LETTERS
from stream.runtime.failpoint import passing
from stream.shard.ports import Entry

log = logging.getLogger(__name__)

WAIT_S = 0.5
PREFIX_BYTES = 1024


class LeftError(Exception):
    """An entry was not handed over: one before it was refused, or it came too late."""


class TogetherError(Exception):
    """An entry was refused for the size of its batch; alone it may be small enough."""


LEFT: Final = LeftError()
TOGETHER: Final = TogetherError()


class SentBatch(NamedTuple):
    """The numbers of the entries in a sent batch, and its acknowledgement or error."""

    numbers: Sequence[int]
    answer: Awaitable[object] | Exception


class KafkaSink:
    """Implements ``stream.shard.ports.Sink``, in whole batches.

    Parameters
    ----------
    fresh_s
        For how long after a look at the shard something may be handed over.
    """

    def __init__(self, batches: RecordBatches, fresh_s: float) -> None:
        self._batches = batches
        self._fresh_s = fresh_s
        self._is_away = False

    async def publish(self, entries: Sequence[Entry], looked: float) -> int:
        """Implements ``Sink.publish``: sends until all are acknowledged, or the look is old."""
        waiting, alone = list(entries), False
        if any(entry.needs for entry in entries):  # else freezing here does no harm
            passing("before_send")
        while waiting and self._is_fresh(looked):
            handed = await self._handed(waiting, looked, alone=alone)
            passing("after_send")
            outcomes = await _outcomes(handed, len(waiting))
            alone |= TOGETHER in outcomes
            waiting = self._again(waiting, outcomes)
            if waiting and self._is_fresh(looked):
                await asyncio.sleep(WAIT_S)
        passing("after_publish")
        if self._is_away and not waiting:
            self._is_away = False
            log.info("Kafka acknowledges again")
        return len(entries) - len(waiting)

    def _is_fresh(self, looked: float) -> bool:
        return self._left_s(looked) > 0

    def _left_s(self, looked: float) -> float:
        return self._fresh_s - (time.monotonic() - looked)

    async def _handed(
        self, entries: Sequence[Entry], looked: float, *, alone: bool
    ) -> list[SentBatch]:
        """Hand entries over, up to the first that is refused or comes too late."""
        handed: list[SentBatch] = []
        numbers: Sequence[int] = range(len(entries))
        try:
            async with asyncio.timeout(self._left_s(looked)):  # others may be before it for long
                for batch in await self._batches.of(entries, alone=alone):
                    numbers = batch.numbers
                    if not self._is_fresh(looked):
                        break
                    handed.append(SentBatch(numbers, await batch.send()))
        except TimeoutError:
            pass
        except Exception as error:  # noqa: BLE001 - told apart where all outcomes are known
            handed.append(SentBatch(numbers, error))
        return handed

    def _again(self, entries: Sequence[Entry], outcomes: Sequence[Exception | None]) -> list[Entry]:
        """Return what must be sent yet: all from the first failure on, so that order holds."""
        for cause in outcomes:
            self._explain(cause)
        failed = (number for number, cause in enumerate(outcomes) if cause is not None)
        first = next(failed, len(entries))
        return [
            _shortened(entry) if isinstance(cause, MessageSizeTooLargeError) else entry
            for entry, cause in zip(entries[first:], outcomes[first:], strict=True)
        ]

    def _explain(self, cause: Exception | None) -> None:
        if cause is None or isinstance(cause, MessageSizeTooLargeError | LeftError | TogetherError):
            return
        if not isinstance(cause, KafkaError):
            raise cause
        if not self._is_away:
            self._is_away = True
            log.warning("Kafka does not acknowledge (%s); sending again", type(cause).__name__)


async def _outcomes(handed: Sequence[SentBatch], count: int) -> list[Exception | None]:
    """Return, for each of so many entries, why it is not acknowledged; None where it is."""
    outcomes: list[Exception | None] = [LEFT] * count
    for numbers, answer in handed:
        outcome = await _outcome(answer)
        if isinstance(outcome, MessageSizeTooLargeError) and len(numbers) > 1:
            outcome = TOGETHER
        for number in numbers:
            outcomes[number] = outcome
    return outcomes


async def _outcome(answer: Awaitable[object] | Exception) -> Exception | None:
    if isinstance(answer, Exception):
        return answer
    try:
        await answer
    except Exception as error:  # noqa: BLE001 - told apart where all outcomes are known
        return error
    return None


def _shortened(entry: Entry) -> Entry:
    """Return a dead letter that Kafka will take: the value's beginning, length and hash.

    Whatever else is too large to be published becomes a dead letter, too.
    """
    value = entry.value or b""
    told = {
        "truncated": b"true",
        "value_bytes": str(len(value)).encode(),
        "value_sha256": hashlib.sha256(value).hexdigest().encode(),
    }
    key = entry.key if len(entry.key or b"") <= PREFIX_BYTES else None
    if entry.topic != DEAD_LETTERS:
        told["reason"] = b"too_large_to_publish"
    return Entry(DEAD_LETTERS, key, value[:PREFIX_BYTES], [*entry.headers, *told.items()])
