"""``python -m tests.faults``: the campaign on this machine, row by row; see ``--help``."""

import argparse
import json
import sys
from pathlib import Path

from tests.faults.campaign import HEAD, Verdict, told, tried
from tests.faults.rows import ROWS

SHOWN = 5


def main() -> int:
    """Run the rows that are asked for and return 0 where none failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--row", type=int, action="append", choices=sorted(ROWS), help="only this")
    parser.add_argument("--seed", type=int, action="append", help="default: 1")
    parser.add_argument("--minutes", type=float, help="how long shoppers come, for each row")
    parser.add_argument("--json", type=Path, help="where all that was found is written")
    options = parser.parse_args()
    verdicts = []
    print(HEAD, flush=True)
    seconds = options.minutes * 60 if options.minutes else None
    rows = [ROWS[number] for number in options.row or sorted(ROWS)]
    tries = [
        (it, clock, seed) for it in rows for clock in it.clocks for seed in options.seed or [1]
    ]
    for row, clock, seed in tries:
        verdict = tried(row, clock, seed, seconds)
        verdicts.append(verdict)
        print(told(verdict), flush=True)
        _explain(verdict)
    if options.json:
        options.json.write_text(json.dumps([it._asdict() for it in verdicts], indent=1))
    return 1 if any(it.problems for it in verdicts) else 0


def _explain(verdict: Verdict) -> None:
    for name, found in verdict.problems.items():
        for problem in found[:SHOWN]:
            print(f"    {name}: {problem}", file=sys.stderr)
        if len(found) > SHOWN:
            print(f"    {name}: and {len(found) - SHOWN} more", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
