"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

LINE_EVERY_S = 5.0
BAR_EVERY_S = 0.2
LOOK_EVERY = 512


class Progress:
    """Counts events, and tells events/s and the time left on standard error.

    The time left is reckoned by size, in whatever unit the total is given.
    """

    def __init__(self, what: str, total_size: int | None) -> None:
        self._what = what
        self._total = total_size
        self._events = self._size = 0
        self._began = self._told = time.monotonic()
        console = Console(stderr=True)
        self._bar = Bar(
            TextColumn(what),
            BarColumn(),
            TextColumn("{task.fields[events]:,} events  {task.fields[speed]:,.0f}/s"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,  # it may be a file, and is never moved above the bar
        )
        self._on_terminal = console.is_terminal

    def __enter__(self) -> Self:
        """Begin."""
        if self._on_terminal:
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total, events=0, speed=0)
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        if self._on_terminal:
            self._bar.stop()

    def advance(self, size: int) -> None:
        """Count one event of such a size; looks at the clock only now and then."""
        self._events += 1
        self._size += size
        if self._events % LOOK_EVERY:
            return
        now = time.monotonic()
        every_s = BAR_EVERY_S if self._on_terminal else LINE_EVERY_S
        if now - self._told < every_s:
            return
        self._told = now
        speed = self._events / (now - self._began)
        if self._on_terminal:
            self._bar.update(self._task, completed=self._size, events=self._events, speed=speed)
        else:
            print(self._line(now, speed), file=sys.stderr)  # noqa: T201 - the command's own output

    def _line(self, now: float, speed: float) -> str:
        line = f"{self._what}: {self._events:,} events, {speed:,.0f} events/s"
        if self._total and self._size:
            left_s = (now - self._began) * (self._total / self._size - 1)
            line += f", {left_s:.0f} s left"
        return line
