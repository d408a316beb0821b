"""``python -m tests.faults.soak``: two workers for a long time, with faults at random.

What it shows is a plot: memory, file descriptors and fire lag over time; and at the end the
invariants, as after every row.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl

from tests.faults.arena import Arena
from tests.faults.row import Row
from tests.rig.processes import Worker

EVERY_S = 25.0
LOOK_EVERY_S = 2.0
SAMPLED = {
    "rss": "process_resident_memory_bytes",
    "fds": "process_open_fds",
    "lag_sum": "cartwake_trigger_fire_lag_seconds_sum",
    "lag_count": "cartwake_trigger_fire_lag_seconds_count",
}


def kill_worker(arena: Arena) -> None:
    """Kill one of the workers and start another."""
    arena.kill(arena.draw.choice(arena.running))
    arena.start_worker()


def freeze_worker(arena: Arena) -> None:
    """Freeze a worker for longer than its session."""
    worker = arena.draw.choice(arena.running)
    worker.pause()
    time.sleep(12)
    worker.resume()


def replace_worker(arena: Arena) -> None:
    """Stop one as an operator would, and start another."""
    arena.draw.choice(arena.running).stop()
    arena.start_worker()


def kill_redis(arena: Arena) -> None:
    """Kill Redis and start it again."""
    arena.redis.kill()
    arena.redis.start()


def freeze_redis(arena: Arena) -> None:
    """Let Redis be silent for some seconds."""
    arena.redis.pause()
    time.sleep(6)
    arena.redis.resume()


def cut_redis(arena: Arena) -> None:
    """Reset connections to Redis before answers arrive."""
    arena.redis.proxy.lose_answers(lambda: arena.draw.random() < 0.05)
    time.sleep(6)
    arena.redis.proxy.heal()


def lose_acks(arena: Arena) -> None:
    """Lose Kafka's answers to what is published."""
    arena.kafka.proxy.lose_answers(lambda: arena.draw.random() < 0.05, only_produced=True)
    time.sleep(6)
    arena.kafka.proxy.heal()


def cut_kafka(arena: Arena) -> None:
    """Reset all connections to Kafka."""
    arena.kafka.proxy.cut()


def restart_kafka(arena: Arena) -> None:
    """Kill the broker, for some seconds."""
    arena.kafka.kill()
    time.sleep(5)
    arena.kafka.start()


FAULTS: tuple[Callable[[Arena], None], ...] = (
    kill_worker,
    kill_worker,
    freeze_worker,
    replace_worker,
    kill_redis,
    freeze_redis,
    cut_redis,
    lose_acks,
    cut_kafka,
    restart_kafka,
)


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


def run(arena: Arena) -> None:
    """Break something every half minute; keep what was seen with the row's figures."""
    arena.start_workers(2)
    samples = Samples(arena)
    with samples.watching(), arena.shoppers(rate=20.0):
        while samples.now_s() < arena.seconds:
            inject = arena.draw.choice(FAULTS)
            samples.faults.append((samples.now_s(), inject.__name__))
            arena.fault()
            inject(arena)
            time.sleep(EVERY_S * arena.draw.uniform(0.6, 1.4))
    arena.settle()
    arena.figures["faults"] = len(samples.faults)
    longest = max({s["worker"] for s in samples.taken}, key=lambda name: _span(samples, name))
    ours = [s for s in samples.taken if s["worker"] == longest]
    arena.figures["RSS MB"] = f"{ours[0]['rss'] / 2**20:.0f} to {ours[-1]['rss'] / 2**20:.0f}"
    arena.figures["fds"] = f"{ours[0]['fds']:.0f} to {ours[-1]['fds']:.0f}"
    (arena.folder.parent / "cartwake-soak.json").write_text(
        json.dumps({"samples": samples.taken, "faults": samples.faults})
    )


def _span(samples: Samples, worker: str) -> float:
    at = [s["at_s"] for s in samples.taken if s["worker"] == worker]
    return at[-1] - at[0]


ROW = Row(25, "soak, mixed faults", run, clocks=("live",), seconds=90)


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
            for a, b in zip(ours, ours[1:], strict=False)
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
