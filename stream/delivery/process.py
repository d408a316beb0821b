"""Runs the dispatchers of a program that delivers triggers, and ends between two messages.

Told to stop, it begins no other message, and ends once the outcome of each sent one is written.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from stream.delivery.dispatcher import Dispatcher
from stream.delivery.liveness import DeliveryLiveness
from stream.delivery.outcome_writer import OutcomeWriter
from stream.delivery.trigger_reader import TriggerReader
from stream.errors import CartwakeError
from stream.runtime.fatal import TOLD_TO_STOP, fatal
from stream.runtime.process import ProgramInfo, StopSignal, beat, watched

# Longer than a mail server or an endpoint may take for its answer.
FINISH_WITHIN_S: Final = 40.0


async def deliver(
    dispatchers: Sequence[Dispatcher[Any]],
    outcomes: OutcomeWriter,
    tasks: int,
    program: ProgramInfo,
) -> None:
    """Deliver until told to stop, with so many tasks for each dispatcher.

    Raises
    ------
    KeyboardInterrupt
        It was stopped by Ctrl-C.
    CartwakeError
        The topics do not fit together, or the metrics' address cannot be listened on.
    RuntimeError
        It has ended without having been told to.
    """
    stop, liveness = StopSignal(), DeliveryLiveness(dispatchers, outcomes)
    with watched(program, liveness):
        beating = asyncio.create_task(beat(liveness.observe))
        reading = [asyncio.create_task(_read(one.reader)) for one in dispatchers]
        working = asyncio.create_task(_dispatch(dispatchers, outcomes, tasks))
        begun = [asyncio.create_task(stop.wait()), working, *reading]
        await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
        for dispatcher in dispatchers:
            dispatcher.stop()
            await dispatcher.reader.wake()
        is_up = any(one.reader.is_up for one in dispatchers)
        await asyncio.wait({working}, timeout=FINISH_WITHIN_S if is_up else 0)
        for task in (*begun, beating):
            await _cancelled(task)
    stop.raise_if_interrupted()
    if not stop.is_received:
        raise RuntimeError("reading or dispatching has ended without being told to")


async def _read(reader: TriggerReader) -> None:
    with fatal("reading triggers", but=(*TOLD_TO_STOP, CartwakeError)):
        await reader.run()


async def _dispatch(
    dispatchers: Sequence[Dispatcher[Any]], outcomes: OutcomeWriter, tasks: int
) -> None:
    with fatal("dispatching triggers"):
        try:
            await outcomes.start()
            await asyncio.gather(*(one.work() for one in dispatchers for _ in range(tasks)))
        finally:
            await outcomes.stop()


async def _cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; what it had raised is raised here."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
