"""Whether what is installed is what this version was tested with.

The one rule: ``pyproject.toml`` alone says which versions those are, by way of what is installed.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from platform import python_version
from typing import Final, NamedTuple

from stream import __version__
from stream.admin.finding import Finding, fail, ok, warn

NAME: Final = "cartwake"
# The Kafka and Redis edges lean on seams inside these; River writes what is read back.
SEAMS: Final = ("faust-streaming", "mode-streaming", "aiokafka", "redis", "river")
PIN: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)$")
AGAIN: Final = "install it anew from its lock: pip install --require-hashes -r requirements.lock"


class Installed(NamedTuple):
    """What is demanded and what is there, by the package's name; None where it is not."""

    python: str
    demanded_python: str
    pins: Mapping[str, str]
    there: Mapping[str, str | None]


def look() -> Installed | None:
    """Return what is installed; None where the program runs without having been."""
    try:
        demanded, lines = metadata(NAME)["Requires-Python"], requires(NAME) or []
    except PackageNotFoundError:
        return None
    # What an extra needs has a condition behind it, and no place here.
    pins = {found[1]: found[2] for line in lines if (found := PIN.match(line.strip()))}
    return Installed(python_version(), demanded, pins, {name: _version(name) for name in pins})


def judge(installed: Installed | None) -> Iterator[Finding]:
    """Yield what is to be said of it."""
    if installed is None:
        yield warn("versions", f"{NAME} {__version__} runs, but is not installed", AGAIN)
        return
    yield _python(installed)
    differing = [name for name, pin in installed.pins.items() if installed.there[name] != pin]
    for name in differing:
        there = installed.there[name] or "missing"
        say = fail if name in SEAMS or not installed.there[name] else warn
        yield say(name, f"{there}, but {NAME} was tested with {installed.pins[name]}", AGAIN)
    fitting = len(installed.pins) - len(differing)
    named = ", ".join(f"{name} {installed.there[name]}" for name in SEAMS if name not in differing)
    yield ok(f"{NAME} {__version__}", f"{fitting} packages as demanded ({named})")


def _python(installed: Installed) -> Finding:
    least = installed.demanded_python.removeprefix(">=")
    if _numbers(installed.python) < _numbers(least):
        found = f"{installed.python} is older than {least}"
        return fail("Python", found, f"install Python {least} or newer")
    return ok("Python", f"{installed.python} ({installed.demanded_python})")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
