"""The sink in Kafka: acknowledged by all replicas, by an idempotent producer.

The one rule: what cannot be sent now is sent later; only Kafka's own limits change a record.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faust.exceptions import ProducerSendError
from msgspec.structs import replace

from stream.edge.failpoint import passing
from stream.edge.outgoing import DEAD_LETTERS, TRAINING_EXAMPLES
from stream.shard.ports import Entry

log = logging.getLogger(__name__)

WAIT_S = 0.5
PREFIX_BYTES = 1024

# One trainer learns from all examples, in one order, whatever number of partitions there is.
PARTITIONS = {TRAINING_EXAMPLES: 0}

Send = Callable[[Entry, int | None], Awaitable[Awaitable[object]]]


class KafkaSink:
    """Implements ``stream.shard.ports.Sink`` over a producer's ``send``."""

    def __init__(self, send: Send, fresh_s: float) -> None:
        """``fresh_s``: for how long after a look at the shard something may be handed over."""
        self._send = send
        self._fresh_s = fresh_s
        self._is_away = False

    async def publish(self, entries: Sequence[Entry], looked: float) -> int:
        """Implements ``Sink.publish``: sends until all are acknowledged, or the look is old."""
        waiting = list(entries)
        passing("before_send")
        while waiting and self._is_fresh(looked):
            handed = await self._handed(waiting, looked)
            passing("after_send")
            outcomes = [await _outcome(one) for one in handed]
            waiting = self._again(waiting, outcomes)
            if waiting and self._is_fresh(looked):
                await asyncio.sleep(WAIT_S)
        passing("after_publish")
        if self._is_away and not waiting:
            self._is_away = False
            log.warning("Kafka acknowledges again")
        return len(entries) - len(waiting)

    def _is_fresh(self, looked: float) -> bool:
        return time.monotonic() - looked < self._fresh_s

    async def _handed(
        self, entries: Sequence[Entry], looked: float
    ) -> list[Awaitable[object] | Exception]:
        """Hand entries to the producer, up to the first that it refuses or that comes too late.

        One after the other, since aiokafka wakes all who wait for room whenever there is some.
        """
        handed: list[Awaitable[object] | Exception] = []
        for entry in entries:
            if not self._is_fresh(looked):
                break
            if entry.key is None and entry.value is None:  # aiokafka sends no such record
                entry = replace(entry, value=b"")  # noqa: PLW2901
            try:
                handed.append(await self._send(entry, PARTITIONS.get(entry.topic)))
            except Exception as error:  # noqa: BLE001 - told apart where all outcomes are known
                handed.append(error)
                break
        return handed

    def _again(
        self, entries: Sequence[Entry], outcomes: Sequence[BaseException | None]
    ) -> list[Entry]:
        """Return what must be sent yet: all from the first failure on, so that order holds."""
        causes = [
            outcome.__cause__ if isinstance(outcome, ProducerSendError) else outcome
            for outcome in outcomes
        ]
        failed = [number for number, cause in enumerate(causes) if cause is not None]
        if not failed:
            return list(entries[len(outcomes) :])
        for cause in causes:
            self._explain(cause)
        tried = [
            _shortened(entry) if isinstance(cause, MessageSizeTooLargeError) else entry
            for entry, cause in zip(entries, causes, strict=False)
        ]
        return [*tried[failed[0] :], *entries[len(tried) :]]

    def _explain(self, cause: BaseException | None) -> None:
        if cause is None or isinstance(cause, MessageSizeTooLargeError):
            return
        if not isinstance(cause, KafkaError):
            raise cause
        if not self._is_away:
            self._is_away = True
            log.warning("Kafka does not acknowledge (%s); sending again", type(cause).__name__)


async def _outcome(handed: Awaitable[object] | Exception) -> Exception | None:
    if isinstance(handed, Exception):
        return handed
    try:
        await handed
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
