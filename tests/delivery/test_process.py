"""A process whose dispatchers do nothing: what it answers, and how it ends."""

import asyncio
import os
import signal
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from stream.delivery import liveness
from stream.delivery.process import deliver
from stream.errors import CartwakeError
from stream.runtime import process as module
from stream.runtime.health import Where
from stream.runtime.liveness import TaskProgress
from stream.runtime.process import ProgramInfo
from tests.rig.processes import LOOPBACK, free_port


class Dispatcher:
    """A dispatcher and its reader in one; each ends as the test has it."""

    name = "email"
    is_up = True

    def __init__(self):
        self.progress, self.reader = TaskProgress(), self
        self.is_over, self.asked = asyncio.Event(), asyncio.Event()
        self.reading = asyncio.Event()  # set: reading ends, by this
        self.error = None

    async def run(self):
        self.asked.set()
        await self.reading.wait()
        if self.error is not None:
            raise self.error

    async def work(self):
        self.progress.note()
        await self.is_over.wait()

    def stop(self):
        self.is_over.set()

    async def wake(self):
        pass

    def not_ready_reasons(self):
        return []


@pytest.fixture
async def dispatcher():
    return Dispatcher()


@pytest.fixture
async def port():
    return free_port()


def running(dispatcher, port):
    async def nothing():
        pass

    outcomes = SimpleNamespace(start=nothing, stop=nothing, is_up=True)
    where = Where("emailer.metrics", LOOPBACK, port)
    program = ProgramInfo("emailer", ("group g",), where, CollectorRegistry(), lambda: True)
    return deliver([dispatcher], outcomes, 2, program)


async def healthz(port):
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1]), answer


async def test_it_ends_in_order_when_told(dispatcher, port):
    process = asyncio.create_task(running(dispatcher, port))
    await dispatcher.asked.wait()
    assert (await healthz(port))[0] == 200
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(process, 5)
    assert dispatcher.is_over.is_set()


async def test_ctrl_c_is_told_from_an_orderly_end(dispatcher, port):
    process = asyncio.create_task(_caught(running(dispatcher, port)))
    await dispatcher.asked.wait()
    os.kill(os.getpid(), signal.SIGINT)
    assert isinstance(await asyncio.wait_for(process, 5), KeyboardInterrupt)


async def _caught(running):
    # A task that ends so would end the test's loop.
    try:
        await running
    except KeyboardInterrupt as interrupt:
        return interrupt


async def test_topics_that_do_not_fit_end_it_with_their_line(dispatcher, port):
    dispatcher.error = CartwakeError("topics do not fit")
    dispatcher.reading.set()
    with pytest.raises(CartwakeError, match="do not fit"):
        await asyncio.wait_for(running(dispatcher, port), 5)


@pytest.mark.parametrize("what", ["reading", "acting"])
async def test_a_half_that_ends_by_itself_is_no_orderly_end(dispatcher, port, what):
    dispatcher.reading.set() if what == "reading" else dispatcher.stop()
    with pytest.raises(RuntimeError, match="without being told to"):
        await asyncio.wait_for(running(dispatcher, port), 5)


async def test_a_task_that_hangs_is_told_on_the_page(dispatcher, port, monkeypatch):
    monkeypatch.setattr(liveness, "STUCK_AFTER_S", 0.05)
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    process = asyncio.create_task(running(dispatcher, port))
    await dispatcher.asked.wait()
    tries = iter(range(100))
    while (told := await healthz(port))[0] == 200:
        next(tries)
        await asyncio.sleep(0.05)
    assert "a task of email has made no progress for" in told[1]
    process.cancel()
    with pytest.raises(asyncio.CancelledError):
        await process
