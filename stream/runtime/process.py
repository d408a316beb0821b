"""The life of a long-running program: log, start line, health page, watchdog, signals, clean end.

Exit codes, the same for all programs: 0 after SIGTERM, 130 after SIGINT, 1 and 2 for what a person
can put right (``CartwakeError``, ``UsageError``), 70 after an unexpected exception (``fatal``), 71
without progress (``Watchdog``).
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry

from stream import __version__
from stream.runtime import logs
from stream.runtime.fatal import FORESEEN, fatal
from stream.runtime.health import HealthPage, Where
from stream.runtime.liveness import Liveness
from stream.runtime.watchdog import Watchdog

log = logging.getLogger(__name__)

BEAT_S: Final = 1.0


class ProgramInfo(NamedTuple):
    """What a program is, for its start line, its health page and its watchdog.

    ``facts`` are what an operator looks for first: group, servers, topics. ``probe`` returns,
    within bounds, whether Kafka serves a new client all that the program needs.
    """

    name: str
    facts: tuple[str, ...]
    where: Where
    registry: CollectorRegistry
    probe: Callable[[], bool]


@contextmanager
def process(doing: str, log_level: str = "info") -> Iterator[None]:
    """Log from this level on; end the process with code 70 after an unexpected exception."""
    with fatal(doing, but=FORESEEN):
        logs.begin(log_level)
        yield


@contextmanager
def watched(program: ProgramInfo, liveness: Liveness) -> Iterator[None]:
    """Serve the health page and watch over progress; log what has started.

    Raises
    ------
    CartwakeError
        The health page's address cannot be listened on.
    """
    page = HealthPage(program.registry, program.where, alive=liveness.alive, ready=liveness.ready)
    with page, Watchdog(liveness, program.probe):
        log.info(
            "cartwake %s %s: %s. Health and metrics on %s:%d",
            *(program.name, __version__, ", ".join(program.facts)),
            *(program.where.host, page.port),
        )
        yield


async def beat(observe: Callable[[], object]) -> None:
    """Observe about once a second until cancelled; an exception ends the process."""
    with fatal("observing liveness"):
        while True:
            observe()
            await asyncio.sleep(BEAT_S)


class StopSignal:
    """SIGINT and SIGTERM, received by the running event loop instead of ending the process.

    Parameters
    ----------
    act
        Is called with the number of each signal.
    """

    def __init__(self, act: Callable[[int], object] = lambda _: None) -> None:
        self._act = act
        self._received: set[int] = set()
        self._event = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._receive, number)

    @property
    def is_received(self) -> bool:
        """Whether a signal to stop was received."""
        return bool(self._received)

    async def wait(self) -> None:
        """Return once a signal to stop is received."""
        await self._event.wait()

    def raise_if_interrupted(self) -> None:
        """Raise ``KeyboardInterrupt`` after SIGINT: the exit code tells it from SIGTERM."""
        if signal.SIGINT in self._received:
            raise KeyboardInterrupt

    def _receive(self, number: int) -> None:
        self._received.add(number)
        self._event.set()
        self._act(number)
