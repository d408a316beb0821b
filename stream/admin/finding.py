"""What ``doctor`` says: one line for each thing that it has looked at.

The one rule: what is not in order comes with what to do about it.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple


class Mark(StrEnum):
    """How bad it is: a warning may be meant, a failure cannot be."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """What was looked at, what was found, and what to do about it."""

    mark: Mark
    what: str
    found: str
    do: str = ""

    def __str__(self) -> str:
        line = f"{self.mark:<4}  {self.what}: {self.found}"
        return f"{line} -> {self.do}" if self.do else line


def ok(what: str, found: str) -> Finding:
    """Return that something is in order."""
    return Finding(Mark.OK, what, found)


def warn(what: str, found: str, do: str) -> Finding:
    """Return that something may be meant so, and what it costs."""
    return Finding(Mark.WARN, what, found, do)


def fail(what: str, found: str, do: str) -> Finding:
    """Return that something cannot be meant so."""
    return Finding(Mark.FAIL, what, found, do)


def summary(findings: Collection[Finding]) -> str:
    """Return the last line, which counts the marks.

    Examples
    --------
    >>> summary([ok("a", "fine"), ok("b", "fine"), fail("c", "gone", "bring it back")])
    '1 failed, 0 warnings, 2 ok'
    """
    counts = {mark: sum(finding.mark is mark for finding in findings) for mark in Mark}
    warned = f"{counts[Mark.WARN]} warning{'' if counts[Mark.WARN] == 1 else 's'}"
    return f"{counts[Mark.FAIL]} failed, {warned}, {counts[Mark.OK]} ok"


def exit_code(findings: Collection[Finding]) -> int:
    """Return 1 if anything failed."""
    return int(any(finding.mark is Mark.FAIL for finding in findings))
