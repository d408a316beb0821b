"""The page: docs/performance.md's tables, between markers, and its plots, from the result lines.

The one rule: nothing is typed in by hand. Each part shows its last run, whenever that was.
"""

import json
import re
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.results import Line, table

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
COLORS = ("#1b6ca8", "#d1603d")
OURS = "cartwake"


def write(lines: Path, page: Path = PAGE) -> list[str]:
    """Put the last run of each part into the page and draw it; return what was written."""
    runs = last_runs(map(json.loads, lines.read_text().splitlines()))
    page.write_text(filled(page.read_text(), runs))
    mpl.rcParams.update({"svg.hashsalt": "cartwake", "svg.fonttype": "none"})
    written = [page.name]
    for part in PLOTS.keys() & runs.keys():
        name, draw = PLOTS[part]
        draw(runs[part], page.parent / name)
        written.append(name)
    return written


def last_runs(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """Return the lines of the last run of each part."""
    runs: dict[str, list[Line]] = {}
    for line in lines:
        known = runs.setdefault(line["part"], [])
        if known and known[0]["run"] != line["run"]:
            known.clear()
        known.append(line)
    return runs


def filled(text: str, runs: dict[str, list[Line]]) -> str:
    """Return the page with each part's table between its markers; others stay as they are.

    Raises
    ------
    ValueError
        A part was measured for which the page has no place.
    """
    for part, lines in runs.items():
        place = re.compile(rf"(<!-- {part} -->\n).*?(<!-- end -->)", re.DOTALL)
        shown = f"{told(lines)}\n\n{table(lines)}\n"
        found = place.search(text)
        if found is None:
            raise ValueError(f"{PAGE.name} has no place for {part}: <!-- {part} --> <!-- end -->")
        text = text[: found.end(1)] + shown + text[found.start(2) :]
    return text


def told(lines: list[Line]) -> str:
    """Return when, where and from what the figures of a run are."""
    one, loads = lines[0], [line["load"] for line in lines]
    repeats = max(line["repeat"] for line in lines)
    return (
        f"{one['run'][:16].replace('T', ' ')} UTC, commit {one['commit']}: {one['source']};"
        f" median (range) of {repeats}. {one['cpu']}, {one['cores']} cores, load"
        f" {min(loads)} to {max(loads)}; Python {one['python']}, Kafka {one['kafka']},"
        f" Redis {one['versions']['redis-server']}."
    )


def draw_peers(lines: list[Line], to: Path) -> None:
    """Draw the CPU per event of each contestant, on a logarithmic scale."""
    rows = medians(lines, "worker_and_redis_us")
    ranked = sorted(rows, key=lambda row: rows[row])
    figure, axes = plt.subplots(figsize=(8, 0.4 * len(ranked) + 1.2), layout="constrained")
    colors = [COLORS[row == OURS] for row in ranked]
    bars = axes.barh(ranked, [rows[row] for row in ranked], color=colors)
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set(xscale="log", xlabel="CPU microseconds per event, engine and its Redis")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    figure.savefig(to, metadata={"Date": None})
    plt.close(figure)


def draw_visitors(lines: list[Line], to: Path) -> None:
    """Draw events/s and Redis bytes over the number of visitors."""
    _draw(lines, to, "visitors", ("events_per_s", "bytes_per_visitor"))


def draw_timers(lines: list[Line], to: Path) -> None:
    """Draw the fire lag over the number of armed timers."""
    _draw(lines, to, "timers armed", ("p50_ms", "p99_ms"))


def _draw(lines: list[Line], to: Path, label: str, figures: tuple[str, str]) -> None:
    figure, both = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for axes, name, color in zip(both, figures, COLORS, strict=True):
        rows = medians(lines, name)
        counts = [int(row.split()[0].replace(",", "")) for row in rows]
        axes.plot(counts, list(rows.values()), color=color, marker="o")
        axes.set(xscale="log", xlabel=label, ylabel=name.replace("_", " "), ylim=(0, None))
        axes.grid(alpha=0.3)
    figure.savefig(to, metadata={"Date": None})
    plt.close(figure)


def medians(lines: list[Line], figure: str) -> dict[str, float]:
    """Return the median of a figure for each row that has it as a number."""
    found: dict[str, list[float]] = {}
    for line in lines:
        value = line["figures"].get(figure)
        if isinstance(value, int | float):
            found.setdefault(line["row"], []).append(value)
    return {row: statistics.median(values) for row, values in found.items()}


PLOTS: dict[str, tuple[str, Callable[[list[Line], Path], None]]] = {
    "peers": ("performance-peers.svg", draw_peers),
    "visitors": ("performance-visitors.svg", draw_visitors),
    "timers": ("performance-timers.svg", draw_timers),
}
