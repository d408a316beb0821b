"""``python -m bench`` measures parts, or ``report`` writes docs/performance.md from what was."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import drain, edge, growth, latency, models, page, replays, report, timers
from bench.events import Log, log
from bench.peers import race
from bench.results import FOLDER, LINES, Run
from tests.rig.processes import Unavailable

Part = Callable[[Run, Log, int, Path], None]

PARTS: dict[str, Part] = {
    "drain": drain.measure,
    "replay": replays.measure,
    "peers": race.measure,
    "latency": latency.measure,
    "visitors": growth.measure_visitors,
    "timers": timers.measure,
    "shards": growth.measure_shards,
    "models": models.measure,
    "edge": edge.measure,
    "streams": edge.measure_streams,
    "page": page.measure,
}


def main() -> int:
    """Measure the parts that are asked for, each with its table."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=3, help="repeats of each (3)")
    parser.add_argument("--events", type=int, help="take only so many events")
    options = parser.parse_args()
    if options.parts == ["report"]:
        print("written:", ", ".join(report.write(LINES)))
        return 0
    unknown = sorted(set(options.parts) - PARTS.keys())
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    taken = log(options.events)
    FOLDER.mkdir(parents=True, exist_ok=True)
    has_failed = False
    for name in options.parts or PARTS:
        run = Run(name, taken.source)
        # Beside the results, because /tmp may be memory.
        with tempfile.TemporaryDirectory(dir=FOLDER, prefix=f"{name}-") as folder:
            try:
                PARTS[name](run, taken, options.rounds, Path(folder))
            except (Unavailable, RuntimeError, TimeoutError) as why:
                has_failed = True
                run.note("broken off", 1, {"why": str(why).strip().splitlines()[0]})
                print(why, file=sys.stderr)
        run.show()
    print(f"every figure: {LINES}")
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
