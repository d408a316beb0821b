"""Bulkheads: an unforeseen exception in one unit of work stays with that unit.

A unit is the smallest piece of work that can fail alone: a pending delivery, an endpoint, an event
of a request, a record of a topic, a visitor of a step. A unit that fails is put aside and tried
again later; after its last try the caller settles it as ``defect``. The process ends only where
many different units fail one after the other, because then the defect is not in one unit's data.

Cancellation, ``MemoryError`` and ``CartwakeError`` pass: none of them is a defect of one unit.
"""

import logging
import time
import traceback
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter

from stream.errors import CartwakeError

log = logging.getLogger(__name__)

REASON: Final = "defect"
FORESEEN: Final = (MemoryError, CartwakeError)
# Waits between tries, in seconds; the try after the last wait is the last one.
WAITS_S: Final = (10.0, 60.0, 300.0, 900.0)
# So many different units in a row, and none that went well between them.
DIFFERENT_UNITS: Final = 20
LOG_EVERY_S: Final = 60.0


class TooManyDefects(Exception):  # noqa: N818 - a condition of the whole process
    """Different units fail one after the other: the defect is not in one unit's data."""


class UnitDefect(NamedTuple):
    """A unit has failed ``tries`` times; ``again_after_s`` is None after its last try."""

    tries: int
    again_after_s: float | None


class Guarded(Struct):
    """What became of the guarded body: ``defect`` is None if it raised nothing."""

    defect: UnitDefect | None = None


class DefectCounter:
    """``cartwake_defects_total`` of one program."""

    def __init__(self, registry: CollectorRegistry, program: str) -> None:
        self._program = program
        self._counter = Counter(
            "cartwake_defects",
            "Unforeseen exceptions, by the unit of work they stayed with; when it rises, read the "
            "log for the place and report it: the unit was put aside, the others went on.",
            ("program", "unit"),
            registry=registry,
        )

    def count(self, unit: str) -> None:
        """Count one exception in a unit of this kind."""
        self._counter.labels(self._program, unit).inc()


class Bulkhead:
    """Guards units of one kind; used on one event loop.

    Parameters
    ----------
    unit
        The kind of unit, as metric and log name it.
    waits_s
        The waits between tries; empty: a unit is tried once.
    different_units
        After so many different failing units in a row ``guard`` raises; None: never. It is None
        where strangers choose what the units contain: they could end the process on purpose.
    """

    def __init__(
        self,
        unit: str,
        defects: DefectCounter,
        *,
        waits_s: tuple[float, ...] = WAITS_S,
        different_units: int | None = DIFFERENT_UNITS,
    ) -> None:
        self._unit, self._defects = unit, defects
        self._waits_s, self._different_units = waits_s, different_units
        self._tries: dict[Hashable, int] = {}
        self._failed_in_a_row: set[Hashable] = set()
        self._logged_at: dict[tuple[str, str], float] = {}

    @contextmanager
    def guard(self, key: Hashable) -> Iterator[Guarded]:
        """Run the body for one unit; an unforeseen exception becomes ``Guarded.defect``.

        ``key`` identifies the unit over its tries.

        Raises
        ------
        TooManyDefects
            Different units have failed one after the other.
        """
        guarded = Guarded()
        try:
            yield guarded
        except FORESEEN:
            raise
        except Exception as error:  # noqa: BLE001 - what nobody has foreseen is what it is for
            guarded.defect = self._note(key, error)
        else:
            self._tries.pop(key, None)
            self._failed_in_a_row.clear()

    def forget(self, key: Hashable) -> None:
        """Forget the tries of a unit that nobody will try again."""
        self._tries.pop(key, None)

    def _note(self, key: Hashable, error: Exception) -> UnitDefect:
        tries = self._tries.pop(key, 0) + 1
        is_last = tries > len(self._waits_s)
        self._defects.count(self._unit)
        self._log(error, tries, is_last=is_last)
        if self._different_units is not None:
            self._failed_in_a_row.add(key)
            if len(self._failed_in_a_row) >= self._different_units:
                raise TooManyDefects(f"{self._different_units} of unit {self._unit}")
        if is_last:
            return UnitDefect(tries, None)
        self._tries[key] = tries
        return UnitDefect(tries, self._waits_s[tries - 1])

    def _log(self, error: Exception, tries: int, *, is_last: bool) -> None:
        """Log type and place, each once in a while: strangers may repeat it at will."""
        trace = traceback.format_tb(error.__traceback__)
        now_s, place = time.monotonic(), (type(error).__name__, trace[-1])
        if self._logged_at.get(place, float("-inf")) > now_s - LOG_EVERY_S:
            return
        self._logged_at[place] = now_s
        log.error(
            "%s in one %s, try %d of %d; %s\n%s",
            *(type(error).__name__, self._unit, tries, len(self._waits_s) + 1),
            "it is given up" if is_last else "it is put aside",
            # Never the exception's own words: they may quote a record.
            "".join(trace),
        )
