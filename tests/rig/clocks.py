"""Time that a test moves by hand."""

from types import ModuleType

import pytest


class SteadyClock:
    """A monotonic clock that stands until it is moved; modules take it for ``time``."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        """Return the moment in seconds."""
        return self.now_s


def steady(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> SteadyClock:
    """Return a clock that these modules tell the time by."""
    clock = SteadyClock()
    for module in modules:
        monkeypatch.setattr(module, "time", clock)
    return clock
