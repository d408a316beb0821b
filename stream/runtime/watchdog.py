"""Ends a process that makes no progress, so that its supervisor starts it again.

It depends on nothing that may be stuck: it looks on a thread of its own, and a log that accepts
nothing any more does not delay the end. It logs where the code stands, never with which values.
"""

import asyncio
import faulthandler
import gc
import logging
import os
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any, Protocol, Self

log = logging.getLogger(__name__)

EXIT_CODE = 71
LOOK_S = 1.0
# Looks and not a duration: a process that was frozen gets them after it goes on.
PATIENCE_LOOKS = 30
LOG_WITHIN_S = 5.0


class Watched(Protocol):
    """What the watchdog asks of a program's liveness; any thread, answered at once."""

    def probe_reason(self) -> str:
        """Return why Kafka has to be probed with a new client; empty: it need not be."""
        ...

    def note_probe(self, *, ok: bool) -> None:
        """Note whether a new client is served; while Kafka is unavailable nothing is overdue."""
        ...

    def alive(self) -> tuple[bool, list[str]]:
        """Return whether a restart would not help, else why it would."""
        ...


class Watchdog:
    """Looks once a second, and ends the process if it stays dead.

    Parameters
    ----------
    probe
        Returns, within bounds, whether Kafka serves a new client; called only where
        ``Watched.probe_reason`` gives a reason.
    """

    def __init__(
        self,
        liveness: Watched,
        probe: Callable[[], bool],
        *,
        end: Callable[[int], object] = os._exit,
        look_s: float = LOOK_S,
    ) -> None:
        self._liveness = liveness
        self._probe = probe
        self._end = end
        self._look_s = look_s
        self._bad_looks = 0
        self._is_over = Event()

    def look(self) -> None:
        """Look once."""
        if self._liveness.probe_reason():
            self._liveness.note_probe(ok=self._probe())
        is_alive, reasons = self._liveness.alive()
        self._bad_looks = 0 if is_alive else self._bad_looks + 1
        if self._bad_looks > PATIENCE_LOOKS:
            self._is_over.set()
            ending = Thread(target=_log_end, args=(reasons,), name="last log lines", daemon=True)
            ending.start()
            ending.join(LOG_WITHIN_S)
            self._end(EXIT_CODE)

    def _watch(self) -> None:
        while not self._is_over.wait(self._look_s):
            self.look()

    def __enter__(self) -> Self:
        Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Not joined: it may be probing Kafka, and nobody needs the answer any more.
        self._is_over.set()


def _log_end(reasons: list[str]) -> None:
    log.critical("No progress: %s; the process ends", "; ".join(reasons))
    faulthandler.dump_traceback()
    log.critical("Tasks:\n%s", "\n".join(_tasks()))
    logging.shutdown()


def _tasks() -> Iterator[str]:
    """Yield where every task of every event loop waits."""
    # asyncio lists the tasks of one loop only, and Faust's consumer has a loop of its own.
    for task in gc.get_objects():
        if issubclass(type(task), asyncio.Task) and not task.done():
            yield f"{task.get_name()}:"
            yield from _frames(task.get_coro())


def _frames(waiting: Any) -> Iterator[str]:  # noqa: ANN401 - coroutines and whatever they await
    """Yield where a coroutine stands and what it awaits, outermost first.

    A task's own ``get_stack`` ends at its outermost coroutine.
    """
    while waiting is not None:
        kind = next((it for it in ("cr", "gi", "ag") if hasattr(waiting, f"{it}_frame")), None)
        if kind is None:
            return
        if frame := getattr(waiting, f"{kind}_frame"):
            code = frame.f_code
            yield f'  File "{code.co_filename}", line {frame.f_lineno} in {code.co_name}'
        waiting = getattr(waiting, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
