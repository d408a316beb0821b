"""Auto-pipelining: commands of many callers in one round trip.

Each caller gets the answer, or the error, of its own command. Only a failure of the connection
affects all callers.
"""

import asyncio
from typing import TYPE_CHECKING, Any

import hiredis
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as NoAnswerError

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

Command = tuple[Any, ...]


class AutoPipeline:
    """Pipelines commands over one connection of a client, and replaces the connection if it breaks.

    redis-py's own code for a command, or for a pipeline, costs two to three times as much.
    """

    def __init__(self, client: "Redis", within_s: float) -> None:
        """Wait at most ``within_s`` seconds for the answers to commands sent together."""
        self._client = client
        self._within_s = within_s
        self._connection: AbstractConnection | None = None
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._sending: asyncio.Future[None] | None = None

    async def __call__(self, *command: Any) -> Any:  # noqa: ANN401 - Redis's
        """Return the command's answer as Redis gives it, or raise its error."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send())
        return await answer

    async def _send(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, []
                answers = await self._told([command for command, _ in asked])
                for (_, answer), one in zip(asked, answers, strict=True):
                    if answer.done():  # its caller was cancelled
                        continue
                    if isinstance(one, Exception):
                        answer.set_exception(one)
                    else:
                        answer.set_result(one)
        finally:
            self._sending = None

    async def _told(self, commands: list[Command]) -> list[Any]:
        """Return each command's answer or error; an error of the connection applies to each."""
        try:
            async with asyncio.timeout(self._within_s):
                return await self._exchanged(commands)
        except TimeoutError:
            error: Exception = NoAnswerError(f"no answer within {self._within_s:g} s")
        except Exception as other:  # noqa: BLE001 - each caller handles it
            error = other
        return [error] * len(commands)

    async def _exchanged(self, commands: list[Command]) -> list[Any]:
        if self._connection is None:
            pool: Any = self._client.connection_pool  # redis-py does not type what it returns
            connection = await pool.get_connection()
            # A timeout per command costs as much as the command. One timeout covers all of them.
            connection.socket_timeout = None
            self._connection = connection
        packed = b"".join([hiredis.pack_command(command) for command in commands])
        await self._connection.send_packed_command(packed)
        return [await self._answer(self._connection, name) for name, *_ in commands]

    async def _answer(self, connection: "AbstractConnection", name: str) -> Any:  # noqa: ANN401
        try:
            answer = await connection.read_response()
        except ResponseError as error:
            return error
        made = self._client.response_callbacks.get(name)
        return answer if made is None else made(answer)
