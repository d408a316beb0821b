"""What shards ask of one server at the same time goes there together, and comes back apart."""

import asyncio

import pytest
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as NoAnswerError

from stream.adapters.redis.auto_pipeline import AutoPipeline
from stream.adapters.redis.connection import Connection


@pytest.fixture
def send(connection):
    return AutoPipeline(connection.client, within_s=5)


class Trips:
    """Counts the round trips of what it stands before."""

    def __init__(self, send):
        self.commands = []
        self._told = send._told
        send._told = self._counted

    async def _counted(self, commands):
        self.commands.append(len(commands))
        return await self._told(commands)


async def test_each_caller_gets_the_answer_to_its_own_command(send):
    await asyncio.gather(*(send("SET", f"cart-{n}", n) for n in range(100)))
    answers = await asyncio.gather(*(send("GET", f"cart-{n}") for n in range(100)))
    assert answers == [b"%d" % n for n in range(100)]


async def test_what_is_asked_for_while_a_trip_is_under_way_goes_with_the_next(send):
    trips = Trips(send)
    first = asyncio.create_task(send("PING"))
    await asyncio.sleep(0)
    others = [asyncio.create_task(send("PING")) for _ in range(3)]
    await asyncio.gather(first, *others)
    await send("PING")
    assert trips.commands == [1, 3, 1]


async def test_an_error_is_its_callers_alone(send):
    await send("SET", "text", "x")
    before, wrong, after = await asyncio.gather(
        send("GET", "text"),
        send("HGET", "text", "field"),
        send("GET", "text"),
        return_exceptions=True,
    )
    assert (before, after) == (b"x", b"x")
    assert isinstance(wrong, ResponseError)


async def test_who_gives_up_takes_no_answer_away_from_others(send):
    await send("SET", "text", "x")
    given_up, other = (asyncio.create_task(send("GET", "text")) for _ in range(2))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await other == b"x"
    assert given_up.cancelled()


async def test_an_answer_that_comes_too_late_is_nobodys(own_redis, connection):
    send = AutoPipeline(connection.client, within_s=0.2)
    await asyncio.gather(send("SET", "ann", "full"), send("SET", "bob", "empty"))
    with own_redis.client() as client:
        client.execute_command("CLIENT", "PAUSE", 500, "ALL")
    with pytest.raises(NoAnswerError, match=r"no answer within 0\.2 s"):
        await send("GET", "ann")
    patient = AutoPipeline(connection.client, within_s=5)
    await patient("PING")  # it serves again
    assert await send("GET", "bob") == b"empty"


async def test_a_broken_connection_is_everybodys_and_the_next_command_makes_another(
    own_redis, connection, send
):
    await send("SET", "ann", "full")
    own_redis.kill()
    answers = await asyncio.gather(*(send("GET", "ann") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(answer, Exception) for answer in answers)
    own_redis.start()
    assert await send("GET", "ann") == b"full"


@pytest.mark.parametrize("protocol", [2, 3])
async def test_answers_are_as_redis_py_gives_them(own_redis, protocol):
    connection = Connection(f"{own_redis.url}?protocol={protocol}")
    send = AutoPipeline(connection.client, within_s=5)
    await send("HSET", "cart", "a", 1, "b", 2)
    assert await send("HGETALL", "cart") == {b"a": b"1", b"b": b"2"}
    assert await send("HMGET", "cart", "b", "c") == [b"2", None]
    assert await send("SET", "cart", "x", "NX") is None
    await connection.close()
