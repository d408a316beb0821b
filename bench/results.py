"""Results: a JSON line for each measurement, and the table of a run's repeats.

The one rule: a line says on what machine, of what commit and from what events its figures are; a
table shows the median of the repeats and from where to where they went.
"""

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.cpu import model
from tests.rig.kafka_program import CACHE, VERSION
from tests.rig.processes import REPOSITORY
from tests.rig.redis import redis_program

FOLDER = CACHE / "bench"
LINES = FOLDER / "results.jsonl"
PACKAGES = ("aiokafka", "faust-streaming", "hiredis", "msgspec", "orjson", "redis", "river")

Line = dict[str, Any]


class Run:
    """One run of a part: every figure goes to the file at once and to the screen as a table."""

    def __init__(self, part: str, source: str, lines: Path = LINES) -> None:
        """Say where events come from; a part that makes its own says so by ``source``."""
        self.part = part
        self.source = source
        self._path = lines
        self._of_run = {"run": datetime.now(UTC).isoformat(timespec="seconds"), **machine()}
        self.lines: list[Line] = []

    def note(self, row: str, repeat: int, figures: Mapping[str, Any]) -> None:
        """Keep the figures of one row of the table, one repeat."""
        line = {
            "part": self.part,
            "row": row,
            "repeat": repeat,
            "figures": dict(figures),
            "source": self.source,
            "load": round(os.getloadavg()[0], 2),
            **self._of_run,
        }
        self.lines.append(line)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        told = "  ".join(f"{name} {short(value)}" for name, value in figures.items())
        print(f"  {self.part} {row} #{repeat}: {told}", flush=True)

    def show(self) -> None:
        """Print the table."""
        print(f"\n{self.part}: {self.source}\n\n{table(self.lines)}\n", flush=True)


def table(lines: Sequence[Line]) -> str:
    """Return a Markdown table: a row for each name, a column for each figure of any of them."""
    rows: dict[str, list[Line]] = {}
    for line in lines:
        rows.setdefault(line["row"], []).append(line)
    columns = list(dict.fromkeys(name for line in lines for name in line["figures"]))
    cells = [["", *(name.replace("_", " ") for name in columns)], ["---"] * (len(columns) + 1)]
    for row, repeats in rows.items():
        found = ([one["figures"].get(name) for one in repeats] for name in columns)
        cells.append([row, *map(cell, found)])
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def cell(values: Iterable[Any]) -> str:
    """Return the median of repeats and their range, or the words that stand for figures.

    Examples
    --------
    >>> cell([2.0, 1.0, 4.0])
    '2.00 (1.00-4.00)'
    >>> cell([0, 0]), cell(["not run: no Java"]), cell([None])
    ('0', 'not run: no Java', '')
    """
    known = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in known):
        return ", ".join(dict.fromkeys(map(str, known)))
    if not known:
        return ""
    low, high = min(known), max(known)
    middle = statistics.median(known)
    return short(low) if low == high else f"{short(middle)} ({short(low)}-{short(high)})"


def short(value: Any) -> str:  # noqa: ANN401 - whatever a figure may be
    """Return a figure as people read it.

    Examples
    --------
    >>> short(123456.7), short(12.345), short(1.2345), short(3)
    ('123,457', '12.3', '1.23', '3')
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"  # noqa: PLR2004 - three digits


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that so many percent of the values do not exceed.

    Examples
    --------
    >>> percentile([4, 1, 3, 2], 50), percentile(range(1, 1001), 99.9), percentile([7], 99)
    (2, 999, 7)
    """
    ranked = sorted(values)
    rank = -(-len(ranked) * round(percent * 10) // 1000)
    return ranked[max(rank, 1) - 1]


def latencies(values_ms: Sequence[float]) -> dict[str, float]:
    """Return the usual percentiles of latencies, ms."""
    return {
        "p50_ms": percentile(values_ms, 50),
        "p99_ms": percentile(values_ms, 99),
        "p99.9_ms": percentile(values_ms, 99.9),
        "max_ms": max(values_ms),
    }


def machine() -> dict[str, Any]:
    """Return commit, versions and machine."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    told = _output(redis_program(), "--version").split()
    versions["redis-server"] = next(word[2:] for word in told if word.startswith("v="))
    changed = "+" if _output("git", "status", "--porcelain", "--untracked-files=no") else ""
    return {
        "commit": _output("git", "rev-parse", "--short", "HEAD") + changed,
        "python": platform.python_version(),
        "kafka": VERSION,
        "versions": versions,
        "cpu": model(),
        "cores": os.cpu_count(),
    }


def _output(*command: str) -> str:
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.strip()
