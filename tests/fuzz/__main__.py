"""``python -m tests.fuzz``: hostile inputs for each target; see ``--help``."""

import argparse
import random
import sys

from tests.fuzz.campaign import hunt, hunt_guided
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Try every target; print a line for each and return 1 if any input did harm."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for all targets together")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this")
    parser.add_argument("--seed", type=int, default=None, help="default: another each time")
    options = parser.parse_args()
    names = options.target or sorted(TARGETS)
    share_s = options.minutes * 60 / len(names)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"fuzz: {len(names)} targets, {share_s:.0f} s each, seed {seed}", flush=True)
    red = 0
    for name in names:
        found = hunt(TARGETS[name], share_s / 2, seed=seed)
        guided = None if found else hunt_guided(name, share_s / 2)
        red += bool(found or guided)
        print(f"  {name}: {_said(found, guided)}", flush=True)
    return 1 if red else 0


def _said(found, guided):
    if found:
        (one,) = found
        return f"FOUND {one.file}: {one.why}"
    if guided is None:
        return "nothing found; atheris is not installed, so nothing was guided by coverage"
    return f"FOUND by coverage: {guided}" if guided else "nothing found"


if __name__ == "__main__":
    sys.exit(main())
