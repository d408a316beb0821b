"""What workers need over a long time: memory, file descriptors and fire lag, sampled and drawn.

``python -m tests.faults.soak SAMPLES SVG`` draws what row 25 has left.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl

from tests.faults.arena import Arena
from tests.rig.processes import Worker

LOOK_EVERY_S = 2.0
SAMPLED = {
    "rss": "process_resident_memory_bytes",
    "fds": "process_open_fds",
    "lag_sum": "cartwake_trigger_fire_lag_seconds_sum",
    "lag_count": "cartwake_trigger_fire_lag_seconds_count",
}


class Samples:
    """Looks at every worker's metrics page again and again, in a thread of its own."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self.taken: list[dict[str, Any]] = []
        self.faults: list[tuple[float, str]] = []
        self.began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def now_s(self) -> float:
        """Return how long it has been running."""
        return round(time.monotonic() - self.began, 1)

    def longest(self) -> list[dict[str, Any]]:
        """Return the samples of the worker that was seen for the longest time."""
        spans: dict[str, list[float]] = {}
        for one in self.taken:
            spans.setdefault(one["worker"], []).append(one["at_s"])
        name = max(spans, key=lambda name: spans[name][-1] - spans[name][0])
        return [one for one in self.taken if one["worker"] == name]

    def write(self, to: Path) -> None:
        """Keep what was seen."""
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(json.dumps({"samples": self.taken, "faults": self.faults}))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look while the body runs."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            for worker in self._arena.running:
                self._take(worker)

    def _take(self, worker: Worker) -> None:
        found = {name: self._arena.metric(worker, metric) for name, metric in SAMPLED.items()}
        if found["rss"]:
            self.taken.append({"at_s": self.now_s(), "worker": worker.log.stem} | found)


def plot(found: dict[str, Any], to: Path) -> None:
    """Draw memory, descriptors and fire lag over time, and where something was broken."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "cartwake"
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of what draws

    figure, (memory, files, lag) = plt.subplots(3, 1, sharex=True, figsize=(9, 7))
    for name in sorted({s["worker"] for s in found["samples"]}):
        ours = [s for s in found["samples"] if s["worker"] == name]
        minutes = [s["at_s"] / 60 for s in ours]
        memory.plot(minutes, [s["rss"] / 2**20 for s in ours], label=name)
        files.plot(minutes, [s["fds"] for s in ours])
        means = [
            ((b["lag_sum"] - a["lag_sum"]) / n if (n := b["lag_count"] - a["lag_count"]) else None)
            for a, b in pairwise(ours)
        ]
        lag.plot(minutes[1:], means, marker=".", linestyle="none")
    for axes, label in ((memory, "RSS, MiB"), (files, "open files"), (lag, "mean fire lag, s")):
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        for at_s, _ in found["faults"]:
            axes.axvline(at_s / 60, color="0.85", linewidth=0.7, zorder=0)
    lag.set_ylim(bottom=0.001)
    lag.set_yscale("log")
    lag.set_xlabel("minutes; grey lines: something was broken")
    figure.tight_layout()
    figure.savefig(to, metadata={"Date": None})


def main() -> int:
    """Draw the plot from what a soak has left."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("samples", type=Path)
    parser.add_argument("svg", type=Path)
    options = parser.parse_args()
    plot(json.loads(options.samples.read_text()), options.svg)
    return 0


if __name__ == "__main__":
    sys.exit(main())
