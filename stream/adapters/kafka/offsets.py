"""Where logs begin and end, and when their records were written, without reading a record.

Whoever may describe a topic may ask for that.
"""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from aiokafka.structs import TopicPartition
from confluent_kafka import TopicPartition as Asked
from confluent_kafka.admin import AdminClient, OffsetSpec

from stream.adapters.kafka.administer import answer
from stream.adapters.kafka.connect import ANSWER_S

CLOSE_MS: Final = 100


class Position(NamedTuple):
    """The offset of a record and its timestamp; the offset is -1 where there is no such record."""

    offset: int
    timestamp: int


async def list_offsets(
    admin: AdminClient, wanted: Mapping[TopicPartition, OffsetSpec]
) -> dict[TopicPartition, Position]:
    """Return for each partition the position that its specification names."""
    if not wanted:
        return {}
    asked = {Asked(tp.topic, tp.partition): spec for tp, spec in wanted.items()}
    found: dict[TopicPartition, Position] = {}
    for tp, future in admin.list_offsets(asked, request_timeout=ANSWER_S).items():
        told = await answer(future)
        found[TopicPartition(tp.topic, tp.partition)] = Position(told.offset, told.timestamp)
    return found


async def have_records_after(
    admin: AdminClient, tps: Collection[TopicPartition], moment_ms: int
) -> set[TopicPartition]:
    """Return the partitions that hold a record with a later timestamp."""
    later = OffsetSpec.for_timestamp(moment_ms + 1)
    found = await list_offsets(admin, dict.fromkeys(tps, later))
    return {tp for tp, first in found.items() if first.offset >= 0}


async def written_ms(
    admin: AdminClient, at: Mapping[TopicPartition, int], now_ms: int
) -> dict[TopicPartition, int]:
    """Return when the record at each offset was written, to ``CLOSE_MS``, and ``now_ms`` at most.

    Kafka returns the first record from a moment on, so the moment is found by bisection. Where
    timestamps do not rise with offsets it is the latest one up to that record.
    """
    low, high = dict.fromkeys(at, 0), dict.fromkeys(at, now_ms)
    while middle := {tp: (low[tp] + high[tp]) // 2 for tp in at if high[tp] - low[tp] > CLOSE_MS}:
        specs = {tp: OffsetSpec.for_timestamp(moment) for tp, moment in middle.items()}
        for tp, first in (await list_offsets(admin, specs)).items():
            if first.offset < 0 or first.offset > at[tp]:
                high[tp] = middle[tp]
            else:
                low[tp] = min(first.timestamp, high[tp])
                if first.offset == at[tp]:
                    high[tp] = low[tp]
    return low
