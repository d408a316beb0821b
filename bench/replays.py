"""Replay: how fast ``cartwake replay`` goes through a file, as a process of its own."""

import json
import resource
from pathlib import Path

from bench.events import Log
from bench.results import Run
from tests.rig.processes import run_cartwake

WITHIN_S = 900.0


def measure(run: Run, log: Log, repeats: int, folder: Path) -> None:
    """Replay the file as often as wanted."""
    for repeat in range(1, repeats + 1):
        out = folder / f"replay-{repeat}"
        run.note("cartwake replay", repeat, replayed(log, out))


def replayed(log: Log, out: Path) -> dict[str, float]:
    """Return events/s of the command's own seconds, and its CPU per event, start-up included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run_cartwake("replay", str(log.path), "--out", str(out), timeout_s=WITHIN_S)
    if done.returncode:
        raise RuntimeError(f"replay of {log.path} failed:\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary = json.loads((out / "summary.json").read_bytes())
    return {
        "events_per_s": summary["events"] / summary["seconds"],
        "cpu_us": used_s / summary["events"] * 1e6,
        "fired": summary["fired"],
    }
