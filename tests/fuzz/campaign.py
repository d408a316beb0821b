"""The search for harmful inputs: by Hypothesis, then guided by coverage where atheris is there."""

import subprocess
import sys
import time
import traceback
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.hostile import inputs

CORPUS = Path(__file__).parent / "corpus"
# Inputs that reached new code in earlier runs; atheris goes on from them.
REACHED = Path(".cache/fuzz")
EXAMPLES = 500


class Found(NamedTuple):
    """A harmful input, where it is kept, and what it did."""

    target: str
    file: Path
    data: bytes
    why: str


def hunt(target, seconds, *, seed, corpus=CORPUS):
    """Try hostile inputs for so long; return the harmful one that was found, if any."""
    until = time.monotonic() + seconds
    while True:
        found = _tried(target, seed, corpus)
        if found or time.monotonic() > until:
            return found
        seed += 1


def _tried(target, number, corpus):
    last = b""

    @seed(number)
    @settings(
        deadline=None,
        max_examples=EXAMPLES,
        database=None,
        derandomize=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(target.seeds))
    def check(data):
        nonlocal last
        last = data
        target.check(data)

    try:
        check()
    except Exception as error:  # noqa: BLE001 - any is a finding
        return [keep(target.name, last, error, corpus)]
    return []


def keep(name, data, error, corpus=CORPUS):
    """Store a harmful input, so that it is tried in every run from now on."""
    folder = corpus / name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / blake2b(data, digest_size=6).hexdigest()
    file.write_bytes(data)
    why = "".join(traceback.format_exception_only(error)).strip()
    return Found(name, file, data, why[:300])


def hunt_guided(name, seconds):
    """Let atheris try changed bytes for so long.

    Return the end of its output if it found something, else an empty text; None: it is not there.
    """
    if find_spec("atheris") is None:
        return None
    reached, crashes = REACHED / name, REACHED / f"{name}-crashes"
    for folder in (reached, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    ran = subprocess.run(
        (
            *(sys.executable, "-m", "tests.fuzz.guided", name),
            *(f"-max_total_time={seconds:.0f}", "-verbosity=0", "-timeout=20"),
            *(f"-artifact_prefix={crashes}/", str(reached)),
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stderr[-600:] if ran.returncode else ""
