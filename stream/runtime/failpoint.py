"""Failpoints: named places between two effects, at which a test may end or freeze the process.

The one rule: without ``CARTWAKE_FAILPOINT`` passing one does nothing.
"""

import os
import signal
from itertools import count

VARIABLE = "CARTWAKE_FAILPOINT"
EXIT_CODE = 75


class Failpoint:
    """One armed place, ``name[:pass[:stop]]``: the pass at which the process ends, or freezes."""

    def __init__(self, armed: str) -> None:
        self.name, _, rest = armed.partition(":")
        passes, _, action = rest.partition(":")
        self._at = int(passes or 1)
        self._freezes = action == "stop"
        self._passes = count(1)

    def passed(self) -> None:
        """End the process at once, or freeze it as SIGSTOP does, where it is this pass's turn."""
        if next(self._passes) != self._at:
            return
        if self._freezes:
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            os._exit(EXIT_CODE)


_armed = Failpoint(os.environ.get(VARIABLE, ""))


def passing(name: str) -> None:
    """Say that the process passes the place of this name."""
    if name == _armed.name:
        _armed.passed()
