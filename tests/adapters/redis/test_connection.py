import asyncio
import time

import pytest
from redis.exceptions import (
    ConnectionError,  # noqa: A004 - Redis's own
    ResponseError,
)

from stream.adapters.redis import connection as connections
from stream.adapters.redis.connection import Connection
from stream.errors import CartwakeError
from tests.adapters.redis.servers import Line, hearing

pytestmark = pytest.mark.usefixtures("impatient")


async def test_a_server_that_answers_is_not_worth_a_word(connection, log):
    assert await connection.ask(connection.client.ping)
    assert connection.is_up
    assert log.lines == []


async def test_its_memory_and_limit_are_told_while_it_answers(own_redis, connection):
    await connection.client.config_set("maxmemory", 2**30)
    ((address, memory),) = (await connection.memory()).items()
    assert address == f"127.0.0.1:{own_redis.port}"
    assert 0 < memory.used < memory.limit == 2**30
    own_redis.kill()
    assert await connection.memory() == {}


async def test_a_server_that_is_away_is_waited_for_and_mentioned_once(own_redis, connection, log):
    await connection.ask(lambda: connection.client.set("cart", "full"))
    own_redis.kill()
    answer = asyncio.create_task(connection.ask(lambda: connection.client.get("cart")))
    await log.said("does not serve")
    assert not connection.is_up
    own_redis.start()
    assert await answer == b"full"
    assert connection.is_up
    away, back = log.lines
    address = f"127.0.0.1:{own_redis.port}"
    assert away.startswith(f"Redis at {address} does not serve (")
    assert away.endswith("; waiting for it")
    assert back == f"Redis at {address} serves again"


async def test_the_server_is_up_again_when_nobody_waits_any_more(connection, log):
    await connection.ask(connection.client.ping)
    full = asyncio.Event()

    async def refused():
        if not full.is_set():
            raise ConnectionError("away")

    waiting = asyncio.create_task(connection.ask(refused))
    await log.said("does not serve")
    await connection.ask(connection.client.ping)  # by the part of a cluster that is there
    assert not connection.is_up
    full.set()
    await waiting
    assert connection.is_up
    assert ["again" in line for line in log.lines] == [False, True]


async def test_who_gives_up_waiting_is_not_waited_for(connection, log):
    async def refused():
        raise ConnectionError("away")

    waiting = asyncio.create_task(connection.ask(refused))
    await log.said("does not serve")
    waiting.cancel()
    await asyncio.wait([waiting])
    await connection.ask(connection.client.ping)
    assert connection.is_up


async def test_each_outage_is_mentioned_anew(own_redis, connection, monkeypatch):
    monkeypatch.setattr(connections, "SAID_ONCE_S", 0)  # as if they were far apart
    for _ in range(2):
        await connection.ask(connection.client.ping)
        own_redis.kill()
        with hearing(connections.__name__) as log:
            answer = asyncio.create_task(connection.ask(connection.client.ping))
            await log.said("does not serve")
            own_redis.start()
            await answer
        assert ["again" in line for line in log.lines] == [False, True]


async def test_a_server_that_is_not_there_at_the_start_is_waited_for(own_redis, log):
    own_redis.stop()
    connection = Connection(own_redis.url)
    answer = asyncio.create_task(connection.ask(connection.client.ping))
    await log.said("does not serve")
    own_redis.start()
    assert await answer
    assert [line.split(" ", 3)[3] for line in log.lines][1:] == ["serves again"]
    await connection.close()


async def test_several_callers_of_a_server_that_is_away_are_all_answered(
    own_redis, connection, log
):
    await connection.ask(connection.client.ping)
    own_redis.kill()
    answers = [asyncio.create_task(connection.ask(connection.client.ping)) for _ in range(5)]
    await log.said("does not serve")
    own_redis.start()
    assert await asyncio.gather(*answers) == [True] * 5
    assert len(log.lines) == 2


async def test_a_lost_answer_is_asked_for_again(own_redis, log):
    async with Line(own_redis.url) as line:
        connection = Connection(line.url)
        await connection.ask(connection.client.ping)
        line.loses_next = True
        assert await connection.ask(lambda: connection.client.incr("n")) == 2
        assert line.lost == 1
        await connection.close()


async def test_a_mistake_of_ours_is_not_waited_for(connection, log):
    await connection.ask(lambda: connection.client.set("text", "x"))
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await connection.ask(lambda: connection.client.hget("text", "field"))
    assert log.lines == []


async def test_a_script_that_the_server_has_forgotten_is_sent_in_full(connection):
    learn = connection.script("learn")
    assert await learn(["models"], ["", 1, b"one"]) == 1
    await connection.client.script_flush()
    assert await learn(["models"], [1, 2, b"two"]) == 1
    assert await connection.client.hget("models", "snapshot") == b"two"


async def test_a_script_is_not_asked_for_by_its_hash_before_it_has_run(connection):
    await connection.client.script_flush()
    await connection.client.config_resetstat()
    learn = connection.script("learn")
    await learn(["models"], ["", 1, b"one"])
    await learn(["models"], [1, 2, b"two"])
    assert "errorstat_NOSCRIPT" not in await connection.client.info("errorstats")
    calls = await connection.client.info("commandstats")
    assert calls["cmdstat_eval"]["calls"] == calls["cmdstat_evalsha"]["calls"] == 1


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_would_evict_states_is_refused_in_one_line(
    own_redis, connection, policy
):
    await connection.client.config_set("maxmemory-policy", policy)
    with pytest.raises(CartwakeError) as refused:
        await connection.check()
    said = str(refused.value)
    assert f"Redis at 127.0.0.1:{own_redis.port} has maxmemory-policy {policy}" in said
    assert "set maxmemory-policy noeviction" in said
    assert "\n" not in said


async def test_a_server_that_keeps_everything_is_accepted(connection):
    await connection.check()


async def test_what_is_asked_once_waits_for_nothing(own_redis, log):
    own_redis.stop()
    connection = Connection(own_redis.url, once=True)
    with pytest.raises(CartwakeError) as away:
        await connection.ask(connection.client.ping)
    assert str(away.value).startswith(f"Redis at 127.0.0.1:{own_redis.port} does not serve (")
    assert log.lines == []
    await connection.close()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://ann:secret@example.test:7000/3", "example.test:7000"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
        ("rediss://:secret@example.test", "example.test:6379"),
        ("rediss+cluster://ann:secret@a.test:7000,b.test", "a.test:7000,b.test:6379"),
    ],
)
async def test_the_address_is_fit_to_be_shown(url, address):
    connection = Connection(url)
    assert connection.address == address
    await connection.close()


# The time


async def test_a_server_tells_its_time(connection):
    before_ms = time.time_ns() // 1_000_000
    told_ms = await connection.time_ms()
    assert before_ms <= told_ms <= time.time_ns() // 1_000_000


async def test_a_server_that_is_away_or_forbids_it_tells_no_time_and_is_not_waited_for(
    own_redis, connection, log
):
    with own_redis.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-time")
        try:
            assert await connection.time_ms() is None
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+time")
    own_redis.kill()
    assert await connection.time_ms() is None
    assert log.lines == []
