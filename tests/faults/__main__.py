"""``python -m tests.faults``: the campaign on this machine, row by row; see ``--help``."""

import argparse
import json
import sys
from pathlib import Path

from tests.faults.campaign import HEAD, Verdict, told, tried
from tests.faults.mutants import MUTANTS
from tests.faults.rows import ROWS

SHOWN = 5


def main() -> int:
    """Run what is asked for and return 0 where all is as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--row", type=int, action="append", choices=sorted(ROWS), help="only this")
    parser.add_argument("--seed", type=int, action="append", help="default: 1")
    parser.add_argument("--minutes", type=float, help="how long shoppers come, for each row")
    parser.add_argument("--json", type=Path, help="where all that was found is written")
    parser.add_argument(
        "--mutant",
        action="append",
        choices=[*MUTANTS, "all"],
        help="instead: remove this guard, and see its row turn red",
    )
    options = parser.parse_args()
    seeds = options.seed or [1]
    seconds = options.minutes * 60 if options.minutes else None
    if options.mutant:
        names = list(MUTANTS) if "all" in options.mutant else options.mutant
        return _survivors(names, seeds[0], seconds)
    rows = [ROWS[number] for number in options.row or sorted(ROWS)]
    verdicts = []
    print(HEAD, flush=True)
    for row, clock, seed in [
        (it, clock, seed) for it in rows for clock in it.clocks for seed in seeds
    ]:
        verdict = tried(row, clock, seed, seconds)
        verdicts.append(verdict)
        print(told(verdict), flush=True)
        _explain(verdict)
    if options.json:
        options.json.write_text(json.dumps([it._asdict() for it in verdicts], indent=1))
    return 1 if any(it.problems for it in verdicts) else 0


def _survivors(names: list[str], seed: int, seconds: float | None) -> int:
    """Print, per guard, what its row finds without it; return 1 where one is not missed."""
    survivors = 0
    print(
        "| guard removed | row | clock | must be red | was red |\n|---|---|---|---|---|", flush=True
    )
    for name in names:
        it = MUTANTS[name]
        program = (sys.executable, "-m", "tests.faults.mutants", name)
        verdict = tried(ROWS[it.row], it.clock, seed, seconds, program)
        red = {found: len(problems) for found, problems in verdict.problems.items()}
        survivors += it.red not in red
        told_red = ", ".join(f"{found} ({count})" for found, count in red.items())
        print(
            f"| {name} | {it.row} | {it.clock} | {it.red} | {told_red or 'nothing'} |", flush=True
        )
    return 1 if survivors else 0


def _explain(verdict: Verdict) -> None:
    for name, found in verdict.problems.items():
        for problem in found[:SHOWN]:
            print(f"    {name}: {problem}", file=sys.stderr)
        if len(found) > SHOWN:
            print(f"    {name}: and {len(found) - SHOWN} more", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
