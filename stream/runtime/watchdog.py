"""The end of a process that makes no progress, so that its supervisor starts it again.

The one rule: it depends on nothing that may be stuck: it looks on a thread of its own, and a log
that takes nothing any more does not hold up the end either. Nobody's data is in what it tells:
where the code stands, never with which values.
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
TELL_WITHIN_S = 5.0


class Watched(Protocol):
    """What is known of a process; asked on any thread, and answers at once."""

    def suspicion(self) -> str:
        """Return for what a fresh client has to be asked whether Kafka serves; empty: nothing."""
        ...

    def told(self, *, is_served: bool) -> None:
        """Note a fresh client's word; while Kafka is away, nothing has been waited for too long."""
        ...

    def alive(self) -> tuple[bool, list[str]]:
        """Say whether a restart would not help, and else why it would."""
        ...


class Watchdog:
    """Looks at the vitals once a second, and ends the process where they stay bad.

    Parameters
    ----------
    is_served
        Asks a fresh client, within bounds, whether Kafka serves; only asked where that is in doubt.
    """

    def __init__(
        self,
        vitals: Watched,
        is_served: Callable[[], bool],
        *,
        end: Callable[[int], object] = os._exit,
        look_s: float = LOOK_S,
    ) -> None:
        self._vitals = vitals
        self._is_served = is_served
        self._end = end
        self._look_s = look_s
        self._bad_looks = 0
        self._is_over = Event()

    def look(self) -> None:
        """Look once."""
        if self._vitals.suspicion():
            self._vitals.told(is_served=self._is_served())
        is_alive, reasons = self._vitals.alive()
        self._bad_looks = 0 if is_alive else self._bad_looks + 1
        if self._bad_looks > PATIENCE_LOOKS:
            self._is_over.set()
            telling = Thread(target=_tell, args=(reasons,), name="last words", daemon=True)
            telling.start()
            telling.join(TELL_WITHIN_S)
            self._end(EXIT_CODE)

    def _watch(self) -> None:
        while not self._is_over.wait(self._look_s):
            self.look()

    def __enter__(self) -> Self:
        Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Not joined: it may be asking Kafka, and nobody waits for the answer any more.
        self._is_over.set()


def _tell(reasons: list[str]) -> None:
    log.critical("No progress: %s; the process ends", "; ".join(reasons))
    faulthandler.dump_traceback()
    log.critical("Tasks:\n%s", "\n".join(_tasks()))
    logging.shutdown()


def _tasks() -> Iterator[str]:
    """Tell where every task of every event loop waits."""
    # asyncio lists the tasks of one loop only, and Faust's consumer has a loop of its own.
    for task in gc.get_objects():
        if issubclass(type(task), asyncio.Task) and not task.done():
            yield f"{task.get_name()}:"
            yield from _frames(task.get_coro())


def _frames(waiting: Any) -> Iterator[str]:  # noqa: ANN401 - coroutines and whatever they await
    """Tell where a coroutine stands, and what it awaits, outermost first.

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
