"""The life of a process over desks that do nothing: what it answers, and how it ends."""

import asyncio
import os
import signal
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from stream.delivery import liveness
from stream.delivery import process as module
from stream.delivery.process import work
from stream.delivery.rounds import Rounds
from stream.errors import CartwakeError
from stream.runtime.health import Where
from tests.rig.processes import LOOPBACK, free_port


class Dispatcher:
    """A desk, its inbox and the teller in one; each ends as the test has it."""

    name = "email"
    is_up = is_heard = True

    def __init__(self):
        self.rounds, self.inbox = Rounds(), self
        self.is_over, self.asked = asyncio.Event(), asyncio.Event()
        self.reading = asyncio.Event()  # set: reading ends, by this
        self.error = None

    async def run(self):
        self.asked.set()
        await self.reading.wait()
        if self.error is not None:
            raise self.error

    async def work(self):
        self.rounds.note()
        await self.is_over.wait()

    def stop(self):
        self.is_over.set()

    async def wake(self):
        pass

    def unready(self):
        return []


@pytest.fixture
async def desk():
    return Dispatcher()


@pytest.fixture
async def port():
    return free_port()


def running(desk, port):
    async def nothing():
        pass

    teller = SimpleNamespace(start=nothing, stop=nothing, is_heard=True)
    where = Where("emailer.metrics", LOOPBACK, port)
    return work(
        [desk],
        teller,
        2,
        registry=CollectorRegistry(),
        where=where,
        is_served=lambda: True,
    )


async def healthz(port):
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1]), answer


async def test_it_ends_in_order_when_told(desk, port):
    process = asyncio.create_task(running(desk, port))
    await desk.asked.wait()
    assert (await healthz(port))[0] == 200
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(process, 5)
    assert desk.is_over.is_set()


async def test_ctrl_c_is_told_from_an_orderly_end(desk, port):
    process = asyncio.create_task(_caught(running(desk, port)))
    await desk.asked.wait()
    os.kill(os.getpid(), signal.SIGINT)
    assert isinstance(await asyncio.wait_for(process, 5), KeyboardInterrupt)


async def _caught(running):
    # A task that ends so would end the test's loop.
    try:
        await running
    except KeyboardInterrupt as interrupt:
        return interrupt


async def test_topics_that_do_not_fit_end_it_with_their_line(desk, port):
    desk.error = CartwakeError("topics do not fit")
    desk.reading.set()
    with pytest.raises(CartwakeError, match="do not fit"):
        await asyncio.wait_for(running(desk, port), 5)


@pytest.mark.parametrize("what", ["reading", "acting"])
async def test_a_half_that_ends_by_itself_is_no_orderly_end(desk, port, what):
    desk.reading.set() if what == "reading" else desk.stop()
    with pytest.raises(RuntimeError, match="ended by itself"):
        await asyncio.wait_for(running(desk, port), 5)


async def test_a_task_that_hangs_is_told_on_the_page(desk, port, monkeypatch):
    monkeypatch.setattr(liveness, "STUCK_AFTER_S", 0.05)
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    process = asyncio.create_task(running(desk, port))
    await desk.asked.wait()
    tries = iter(range(100))
    while (told := await healthz(port))[0] == 200:
        next(tries)
        await asyncio.sleep(0.05)
    assert "a task of email has not come round for" in told[1]
    process.cancel()
    with pytest.raises(asyncio.CancelledError):
        await process
