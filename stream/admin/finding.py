"""A finding of ``doctor``: one line for each thing that it has checked.

A warning and a failure always come with a remedy.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """How bad it is: a warning may be intended, a failure is not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """What was checked, what was observed, and how to correct it."""

    severity: Severity
    subject: str
    observed: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.severity:<4}  {self.subject}: {self.observed}"
        return f"{line} -> {self.remedy}" if self.remedy else line


def ok(subject: str, observed: str) -> Finding:
    """Return that something is in order."""
    return Finding(Severity.OK, subject, observed)


def warn(subject: str, observed: str, remedy: str) -> Finding:
    """Return that something may be intended; ``observed`` says what it costs."""
    return Finding(Severity.WARN, subject, observed, remedy)


def fail(subject: str, observed: str, remedy: str) -> Finding:
    """Return that something is wrong."""
    return Finding(Severity.FAIL, subject, observed, remedy)


def summary(findings: Collection[Finding]) -> str:
    """Return the last line, which counts the findings by severity.

    Examples
    --------
    >>> summary([ok("a", "fine"), ok("b", "fine"), fail("c", "gone", "bring it back")])
    '1 failed, 0 warnings, 2 ok'
    """
    counts = {
        severity: sum(finding.severity is severity for finding in findings) for severity in Severity
    }
    warned = f"{counts[Severity.WARN]} warning{'' if counts[Severity.WARN] == 1 else 's'}"
    return f"{counts[Severity.FAIL]} failed, {warned}, {counts[Severity.OK]} ok"


def exit_code(findings: Collection[Finding]) -> int:
    """Return 1 if anything failed."""
    return int(any(finding.severity is Severity.FAIL for finding in findings))
