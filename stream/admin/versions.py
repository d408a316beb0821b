"""Compares the installed packages with those that this version was tested with.

The required versions come from ``pyproject.toml``, through the installed package's metadata.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from platform import python_version
from typing import Final, NamedTuple

from stream import __version__
from stream.admin.finding import Finding, fail, ok, warn

NAME: Final = "cartwake"
# Cartwake uses internals of these; River writes snapshots that it has to read again.
SEAMS: Final = ("faust-streaming", "mode-streaming", "aiokafka", "redis", "river")
PIN: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)$")
# The first releases whose reader of cookies takes no quadratic time: CVE-2024-7592.
PATCHED: Final = {"3.11": "3.11.10", "3.12": "3.12.6"}
AGAIN: Final = "install it again from its lock: pip install --require-hashes -r requirements.lock"


class Installed(NamedTuple):
    """The required and the installed versions by package; None if a package is missing."""

    python: str
    required_python: str
    pins: Mapping[str, str]
    versions: Mapping[str, str | None]


def installed() -> Installed | None:
    """Return the installed versions; None if the program runs without being installed."""
    try:
        required, lines = metadata(NAME)["Requires-Python"], requires(NAME) or []
    except PackageNotFoundError:
        return None
    # The packages of an extra have a condition, and are left out.
    pins = {found[1]: found[2] for line in lines if (found := PIN.match(line.strip()))}
    return Installed(python_version(), required, pins, {name: _version(name) for name in pins})


def check_versions(state: Installed | None) -> Iterator[Finding]:
    """Yield a finding for each version that differs, and one for all others."""
    if state is None:
        yield warn("versions", f"{NAME} {__version__} runs, but is not installed", AGAIN)
        return
    yield _python(state)
    differing = [name for name, pin in state.pins.items() if state.versions[name] != pin]
    for name in differing:
        there = state.versions[name] or "missing"
        say = fail if name in SEAMS or not state.versions[name] else warn
        yield say(name, f"{there}, but {NAME} was tested with {state.pins[name]}", AGAIN)
    fitting = len(state.pins) - len(differing)
    named = ", ".join(f"{name} {state.versions[name]}" for name in SEAMS if name not in differing)
    yield ok(f"{NAME} {__version__}", f"{fitting} packages have the required version ({named})")


def _python(state: Installed) -> Finding:
    least = state.required_python.removeprefix(">=")
    if _numbers(state.python) < _numbers(least):
        observed = f"{state.python} is older than {least}"
        return fail("Python", observed, f"install Python {least} or newer")
    patched = PATCHED.get(".".join(state.python.split(".")[:2]))
    if patched is not None and _numbers(state.python) < _numbers(patched):
        observed = f"{state.python} lacks security fixes, of http.cookies among others"
        return warn("Python", f"{observed} (CVE-2024-7592)", f"install Python {patched} or newer")
    return ok("Python", f"{state.python} ({state.required_python})")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
