"""The life of a process that acts on triggers: it reads, acts, and ends between two messages.

The one rule: told to stop it begins no other message, and ends once what it has sent has been told.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from prometheus_client import CollectorRegistry

from stream.delivery.dispatcher import Dispatcher
from stream.delivery.liveness import Vitals
from stream.delivery.outcome_writer import OutcomeWriter
from stream.delivery.trigger_reader import TriggerReader
from stream.errors import CartwakeError
from stream.runtime.fatal import TOLD_TO_STOP, fatal
from stream.runtime.health import HealthPage, Where
from stream.runtime.watchdog import Watchdog

# Longer than a mail server or an endpoint may take for its answer.
FINISH_WITHIN_S: Final = 40.0
BEAT_S: Final = 1.0


async def work(  # noqa: PLR0913 - what such a process is made of
    desks: Sequence[Dispatcher[Any]],
    teller: OutcomeWriter,
    tasks: int,
    *,
    registry: CollectorRegistry,
    where: Where,
    is_served: Callable[[], bool],
) -> None:
    """Act until told to stop, with so many tasks at each desk.

    Parameters
    ----------
    is_served
        Asks a fresh client, within bounds, whether Kafka serves what the desks need.

    Raises
    ------
    KeyboardInterrupt
        It was stopped by Ctrl-C.
    CartwakeError
        The topics do not fit together, or the metrics' address cannot be listened on.
    RuntimeError
        It has ended without having been told to.
    """
    stop, signals = asyncio.Event(), set[int]()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _hear, number, signals, stop)
    vitals = Vitals(desks, teller)
    page = HealthPage(registry, where, alive=vitals.alive, ready=lambda: _ready(desks))
    with page, Watchdog(vitals, is_served):
        beating = asyncio.create_task(_beat(vitals))
        reading = [asyncio.create_task(_read(desk.inbox)) for desk in desks]
        working = asyncio.create_task(_act(desks, teller, tasks))
        stopping = asyncio.create_task(stop.wait())
        begun = [stopping, working, *reading]
        await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
        for desk in desks:
            desk.stop()
            await desk.inbox.wake()
        is_up = any(desk.inbox.is_up for desk in desks)
        await asyncio.wait({working}, timeout=FINISH_WITHIN_S if is_up else 0)
        for task in (*begun, beating):
            await _ended(task)
    if signal.SIGINT in signals:
        raise KeyboardInterrupt
    if not stop.is_set():
        raise RuntimeError("reading or acting has ended by itself")


def _hear(number: int, signals: set[int], stop: asyncio.Event) -> None:
    signals.add(number)
    stop.set()


def _ready(desks: Sequence[Dispatcher[Any]]) -> tuple[bool, list[str]]:
    reasons = [why for desk in desks for why in desk.inbox.unready()]
    return not reasons, reasons


async def _beat(vitals: Vitals) -> None:
    with fatal("looking at the vitals"):
        while True:
            vitals.beat()
            await asyncio.sleep(BEAT_S)


async def _read(inbox: TriggerReader) -> None:
    with fatal("reading triggers", but=(*TOLD_TO_STOP, CartwakeError)):
        await inbox.run()


async def _act(desks: Sequence[Dispatcher[Any]], teller: OutcomeWriter, tasks: int) -> None:
    with fatal("acting on triggers"):
        try:
            await teller.start()
            await asyncio.gather(*(desk.work() for desk in desks for _ in range(tasks)))
        finally:
            await teller.stop()


async def _ended(task: asyncio.Task[Any]) -> None:
    """End a task; what it had raised is raised here."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
