"""A visitor's state once all that Kafka holds at this moment has been applied to it.

An answer that may be older than a stored record is no answer: if the workers lag, or a server is
unavailable, nothing is known and nothing is sent.
"""

import asyncio
from typing import Final

from aiokafka.errors import KafkaError

from stream.adapters.redis.reader import RedisStates
from stream.delivery.trigger_reader import Taken, TriggerReader
from stream.domain.visitor import Visitor, VisitorKey

WITHIN_S: Final = 5.0
LOOK_EVERY_S: Final = 0.01


class InDoubt(Exception):  # noqa: N818 - the state's condition
    """The visitor's state is not known now; later it may be."""


class FreshState:
    """Returns a visitor's state right before something is sent."""

    def __init__(
        self,
        triggers: TriggerReader,
        states: RedisStates[VisitorKey, Visitor],
        within_s: float = WITHIN_S,
    ) -> None:
        self._triggers, self._states, self._within_s = triggers, states, within_s

    async def state(self, taken: Taken) -> Visitor | None:
        """Return the visitor's state; None if the visitor has none.

        Raises
        ------
        InDoubt
            The workers lag behind what is stored by now, or a server does not answer.
        """
        shard = taken.share.number
        try:
            async with asyncio.timeout(self._within_s):
                ends = await self._triggers.end_offsets(taken.share)
                # Redis does not notify of a watermark, so this polls.
                while not await self._includes(shard, ends):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_EVERY_S)
                return await self._states.state(shard, taken.pending.visitor)
        except (TimeoutError, KafkaError) as error:
            raise InDoubt(f"shard {shard} may lag behind its log") from error

    async def _includes(self, shard: int, ends: dict[str, int]) -> bool:
        offsets = (await self._states.watermark(shard)).offsets
        return all(offsets.get(topic, 0) >= end for topic, end in ends.items())
