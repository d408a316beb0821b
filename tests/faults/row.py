"""A row of the fault matrix: how it is set up, what is broken, and what it measures."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence


class CannotCarry(Exception):  # noqa: N818 - a condition of the machine
    """This machine cannot carry the row; the message says what it lacks."""


def _nothing(_: Arena, __: Evidence) -> list[str]:
    return []


@contextmanager
def _as_it_is(_: Path) -> Iterator[None]:
    yield


@dataclass(frozen=True)
class Row:
    """One fault.

    Parameters
    ----------
    run
        Sets up workers and shoppers and injects; returns when the log is to be left to settle.
    also
        What must hold here beside the invariants: returns what is wrong.
    clocks
        ``records`` is judged exactly; ``live`` where the fault is about time, or matters there.
    seconds
        How long shoppers come, unless the campaign is told otherwise.
    before
        Prepares the folder in which the servers will live; undone after they have ended.
    """

    number: int
    title: str
    run: Callable[[Arena], None]
    also: Callable[[Arena, Evidence], list[str]] = _nothing
    clocks: tuple[str, ...] = ("records",)
    seconds: float = 30.0
    policy: Mapping[str, object] = field(default_factory=dict)
    broker: tuple[str, ...] = ()
    before: Callable[[Path], AbstractContextManager[None]] = _as_it_is
