"""CPU time and memory of processes and their children, from ``/proc``.

The one rule: user and system time of all threads, children that have ended included.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import NamedTuple, ParamSpec, Self, TypeVar

from stream.runtime.gc_tuning import settle

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KIB_PER_MIB = 1024
# Fields of /proc/PID/stat after the name, which may itself hold blanks: proc(5).
PARENT = 1
TIMES = slice(11, 15)  # user and system, its own and that of children it has waited for
IDLE = slice(3, 5)  # of the first line of /proc/stat: idle, iowait

P = ParamSpec("P")
R = TypeVar("R")


class Reading(NamedTuple):
    """The CPU seconds that each process had used at ``at`` (monotonic), and the whole machine."""

    at: float
    used_s: Mapping[str, float]
    machine_s: float

    @classmethod
    def of(cls, pids: Mapping[str, int]) -> Self:
        """Read each process with its children."""
        used_s = {name: cpu_s(tree(pid)) for name, pid in pids.items()}
        return cls(monotonic(), used_s, machine_s())


def spent(first: Reading, last: Reading, events: int) -> dict[str, float]:
    """Return what the events between two readings took.

    ``events_per_s``; ``<name>_us``, CPU microseconds per event of each process; ``others_cores``,
    what the rest of the machine used meanwhile: a run with much of it is not a clean one.
    """
    seconds = last.at - first.at
    used_s = {name: last.used_s[name] - before for name, before in first.used_s.items()}
    others_s = last.machine_s - first.machine_s - sum(used_s.values())
    return {
        "events_per_s": events / seconds,
        **{f"{name}_us": each_s / events * 1e6 for name, each_s in used_s.items()},
        "others_cores": others_s / seconds,
    }


def tree(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for other in (int(path.name) for path in PROC.iterdir() if path.name.isdigit()):
        if stat := _stat(other):
            children.setdefault(int(stat[PARENT]), []).append(other)
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds that these processes have used; one that is gone counts nothing."""
    return sum(int(ticks) for pid in pids for ticks in _stat(pid)[TIMES]) / TICKS_PER_S


def machine_s() -> float:
    """Return the CPU seconds that the whole machine has been busy since it started."""
    ticks = [int(part) for part in (PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - sum(ticks[IDLE])) / TICKS_PER_S


def peak_mib(pid: int) -> float:
    """Return the most memory (resident) that a process and its children have held, MiB."""
    return sum(map(_peak_kib, tree(pid))) / KIB_PER_MIB


def model() -> str:
    """Return the name of this machine's CPU."""
    lines = (PROC / "cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown")


def apart(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return what ``work`` returns in a fresh process, where nothing done before weighs on it.

    Its garbage collector is set as a worker's is.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=settle) as pool:
        return pool.submit(work, *args, **kwargs).result()


def _stat(pid: int) -> list[str]:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()


def _peak_kib(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
