"""What is known of a visitor once all that Kafka holds at this moment has been applied.

The one rule: an answer that may be older than a record that is stored already is no answer. Where
the workers do not keep up, or a server is away, nothing is known and nothing is done.
"""

import asyncio
from typing import Final

from aiokafka.errors import KafkaError

from stream.adapters.redis.reader import RedisReader
from stream.delivery.trigger_reader import Taken, TriggerReader
from stream.domain.visitor import Visitor

WITHIN_S: Final = 5.0
LOOK_EVERY_S: Final = 0.01


class InDoubt(Exception):  # noqa: N818 - the state's condition
    """Nobody can say now what is known of the visitor; later somebody may."""


class FreshState:
    """Asks for a visitor's state right before something is done about it."""

    def __init__(
        self, inbox: TriggerReader, reader: RedisReader, within_s: float = WITHIN_S
    ) -> None:
        self._inbox, self._reader, self._within_s = inbox, reader, within_s

    async def state(self, taken: Taken) -> Visitor | None:
        """Return the visitor's state; None where nothing is known.

        Raises
        ------
        InDoubt
            The workers lag behind what is stored by now, or a server does not answer.
        """
        shard = taken.share.number
        try:
            async with asyncio.timeout(self._within_s):
                ends = await self._inbox.ends(taken.share)
                while not await self._includes(shard, ends):  # noqa: ASYNC110 - Redis tells nobody
                    await asyncio.sleep(LOOK_EVERY_S)
                return await self._reader.state(shard, taken.debt.who)
        except (TimeoutError, KafkaError) as error:
            raise InDoubt(f"shard {shard} is not known to be in step") from error

    async def _includes(self, shard: int, ends: dict[str, int]) -> bool:
        offsets = (await self._reader.watermark(shard)).offsets
        return all(offsets.get(topic, 0) >= end for topic, end in ends.items())
