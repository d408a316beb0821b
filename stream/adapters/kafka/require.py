"""The topics that a starting program requires. It reads metadata only, as any client may."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from stream.adapters.kafka.connect import Unreachable, metadata, partition_counts, refuse
from stream.adapters.kafka.topic_rules import ACTED_ON, missing, uneven
from stream.config.settings import Settings
from stream.domain.topics import LANES

RETRY_S: Final = 1.0

Say = Callable[[str], None]


async def require(settings: Settings, waiting: Say) -> int:
    """Return the partition count of the lanes; wait as long as Kafka cannot be reached.

    ``waiting`` is called once, with the reason.

    Raises
    ------
    CartwakeError
        Topics are missing, or the lanes' partition counts differ.
    """
    counts = await _patiently(settings, waiting)
    inputs = {name: counts[name] for name in LANES if name in counts}
    refuse(settings, [*missing(counts), *uneven(inputs)])
    return counts[next(iter(LANES))]


def require_even(settings: Settings, counts: Mapping[str, int]) -> None:
    """Refuse missing topics, and partition counts that differ, for programs that act on triggers.

    Raises
    ------
    CartwakeError
        All problems are named.
    """
    known = {name: counts[name] for name in ACTED_ON if name in counts}
    refuse(settings, [*missing(known, ACTED_ON), *uneven(known, "the topics")])


async def _patiently(settings: Settings, waiting: Say) -> dict[str, int]:
    said = False
    while True:
        try:
            return partition_counts(await metadata(settings))
        except Unreachable as away:
            if not said:
                waiting(f"{away}; trying again until it can")
            said = True
            await asyncio.sleep(RETRY_S)
