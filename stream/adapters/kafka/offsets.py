"""How far logs reach, and when their records were written.

The one rule: no record is read. Whoever may describe a topic may ask, and nobody's events are seen.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.adapters.kafka.connect import ANSWER_S, started
from stream.adapters.kafka.options import client_options
from stream.config.settings import KafkaSettings

CLOSE_MS: Final = 100


@asynccontextmanager
async def looking(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """Start a consumer of no group that is assigned nothing, and stop it."""
    options = {"group_id": None, "request_timeout_ms": int(ANSWER_S * 1000)}
    async with started(AIOKafkaConsumer(**client_options(kafka), **options)) as consumer:
        yield consumer


async def have_records_after(
    consumer: AIOKafkaConsumer, tps: Collection[TopicPartition], moment_ms: int
) -> set[TopicPartition]:
    """Return the partitions that hold a record with a later timestamp."""
    found = await consumer.offsets_for_times(dict.fromkeys(tps, moment_ms + 1))
    return {tp for tp, first in found.items() if first is not None}


async def written_ms(
    consumer: AIOKafkaConsumer, at: Mapping[TopicPartition, int], now_ms: int
) -> dict[TopicPartition, int]:
    """Return when the record at each offset was written, to ``CLOSE_MS``, and ``now_ms`` at most.

    Kafka tells the first record from a moment on, so the moment is found by halving. Where
    timestamps do not rise with offsets it is the latest one up to that record.
    """
    low, high = dict.fromkeys(at, 0), dict.fromkeys(at, now_ms)
    while asked := {tp: (low[tp] + high[tp]) // 2 for tp in at if high[tp] - low[tp] > CLOSE_MS}:
        found = await consumer.offsets_for_times(asked)
        for tp, moment in asked.items():
            first = found[tp]
            if first is None or first.offset > at[tp]:
                high[tp] = moment
            else:
                low[tp] = min(first.timestamp, high[tp])
                if first.offset == at[tp]:
                    high[tp] = low[tp]
    return low
