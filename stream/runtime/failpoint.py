"""Failpoints: named places at which a test ends or freezes the process, or makes a unit fail.

Without ``CARTWAKE_FAILPOINT`` they do nothing.
"""

import os
import signal
from itertools import count

VARIABLE = "CARTWAKE_FAILPOINT"
EXIT_CODE = 75


class Failpoint:
    """One armed place.

    ``name[:pass[:stop]]``: the pass at which the process ends, or freezes.
    ``name:unit:raise``: the unit of work that fails each time it passes.
    """

    def __init__(self, armed: str) -> None:
        self.name, _, rest = armed.partition(":")
        where, _, action = (
            rest.rpartition(":") if rest.endswith((":stop", ":raise")) else (rest, "", "")
        )
        self.unit = where if action == "raise" else None
        self._at = 0 if action == "raise" else int(where or 1)
        self._freezes = action == "stop"
        self._passes = count(1)

    def passed(self) -> None:
        """End the process at once, or freeze it as SIGSTOP does, if this is the armed pass."""
        if next(self._passes) != self._at:
            return
        if self._freezes:
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            os._exit(EXIT_CODE)


_armed = Failpoint(os.environ.get(VARIABLE, ""))


def passing(name: str) -> None:
    """Note that the process passes the place of this name."""
    if name == _armed.name:
        _armed.passed()


def arms(name: str) -> bool:
    """Return whether the place of this name is armed; for places that are passed very often."""
    return name == _armed.name


def raising(name: str, unit: str) -> None:
    """Raise if this unit is armed to fail at the place of this name.

    Raises
    ------
    RuntimeError
        It is.
    """
    if name == _armed.name and unit == _armed.unit:
        raise RuntimeError(unit)
