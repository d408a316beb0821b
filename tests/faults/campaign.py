"""Runs rows and judges them; what comes out is a table for people and JSON for machines."""

import asyncio
import shutil
import statistics
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.arena import PARTITIONS, Arena
from tests.faults.evidence import Evidence, collected, write_history
from tests.faults.invariants import compared, judged
from tests.faults.oracle import replayed
from tests.faults.row import CannotCarry, Row
from tests.faults.second_opinion import disagreements
from tests.rig.processes import REPOSITORY, cartwake_command

Problems = dict[str, list[str]]

KEPT = REPOSITORY / ".cache" / "faults"
PAUSE_WITHIN_MS = 30_000


class Verdict(NamedTuple):
    """What became of one row with one seed. ``problems`` by invariant; none: it holds."""

    row: int
    title: str
    clock: str
    seed: int
    passed: bool
    cannot: str
    seconds: float
    inputs: int
    expected: int
    observed: int
    missing: int
    extra: int
    repeats: int
    after_refusal: int
    pauses_s: list[float]
    figures: dict[str, Any]
    problems: dict[str, list[str]]


def tried(
    row: Row,
    clock: str,
    seed: int,
    seconds: float | None = None,
    program: tuple[str, ...] = cartwake_command("worker"),
) -> Verdict:
    """Run a row on servers of its own and judge it; its logs are kept where it failed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            with row.before(folder):
                arena = Arena(
                    folder,
                    seed,
                    seconds or row.seconds,
                    clock=clock,
                    policy=row.policy,
                    broker=row.broker,
                    program=program,
                )
                with arena:
                    verdict = _judged(row, arena, began)
        except CannotCarry as why:
            return _nothing(row, clock, seed, cannot=str(why))
        except Exception:  # noqa: BLE001 - a row that breaks has failed, and the campaign goes on
            problem = {"row": [traceback.format_exc()]}
            verdict = _nothing(row, clock, seed, problems=problem)
        if not verdict.passed:
            _keep(folder, f"row-{row.number:02d}-{clock}-seed-{seed}")
    return verdict


def _judged(row: Row, arena: Arena, began: float) -> Verdict:
    row.run(arena)
    evidence = collected(arena)
    # Live, what is due after the last record is owed as well.
    until_ms = arena.settled_ms if arena.clock == "live" else None
    expected = asyncio.run(replayed(evidence.inputs, arena.settings, until_ms))
    problems = {name: found for name, found in judged(evidence, expected).items() if found}
    if otherwise := disagreements(evidence, arena.settings):
        problems["reference"] = otherwise
    if also := row.also(arena, evidence):
        problems["row"] = also
    if problems:
        write_history(evidence, expected.triggers, arena.folder / "history.log")
    found = compared(evidence, expected)
    return Verdict(
        row=row.number,
        title=row.title,
        clock=arena.clock,
        seed=arena.seed,
        passed=not problems,
        cannot="",
        seconds=time.monotonic() - began,
        inputs=len(evidence.inputs),
        expected=len(expected.triggers),
        observed=len(evidence.published["triggers"]) - found.repeats,
        missing=len(found.missing),
        extra=len(found.extra),
        repeats=found.repeats,
        after_refusal=len(problems.get("I4", [])),
        pauses_s=_pauses_s(arena, evidence),
        figures=arena.figures,
        problems=problems,
    )


def _nothing(
    row: Row, clock: str, seed: int, cannot: str = "", problems: Problems | None = None
) -> Verdict:
    return Verdict(
        *(row.number, row.title, clock, seed, False, cannot),
        *(0.0, *[0] * 7, [], {}, problems or {}),
    )


def _pauses_s(arena: Arena, evidence: Evidence) -> list[float]:
    """Return, per fault and shard, the longest time without a step in the half minute after it.

    Not beyond the time when shoppers came: later there is less and less to do.
    """
    spans = [
        (at_ms, min(at_ms + PAUSE_WITHIN_MS, arena.busy_until_ms)) for at_ms in arena.faults_ms
    ]
    return [
        evidence.observer.longest_pause_s(shard, *span)
        for span in spans
        for shard in range(PARTITIONS)
    ]


def _keep(folder: Path, name: str) -> None:
    kept = KEPT / name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for log in (*folder.glob("*.log"), *folder.glob("*/*.log")):
        if log.is_file():
            shutil.copy(log, kept / f"{log.parent.name}-{log.name}")


def told(verdict: Verdict) -> str:
    """Return a verdict as a line of the table, in Markdown."""
    pauses = [pause for pause in verdict.pauses_s if pause != float("inf")]
    p50, p99 = (
        (statistics.median(pauses), statistics.quantiles([*pauses, *pauses], n=100)[98])
        if pauses
        else (float("nan"), float("nan"))
    )
    figures = ", ".join(f"{name} {figure}" for name, figure in verdict.figures.items())
    outcome = "passed" if verdict.passed else f"not carried: {verdict.cannot}"
    if verdict.problems:
        outcome = "FAILED: " + ", ".join(verdict.problems)
    cells = [
        *(verdict.row, verdict.title, verdict.clock, verdict.seed),
        *(f"{n:,}" for n in (verdict.inputs, verdict.expected, verdict.observed)),
        *(verdict.missing, verdict.extra, verdict.repeats, verdict.after_refusal),
        f"{p50:.1f} / {p99:.1f}" if pauses else "-",
        figures or "-",
        outcome,
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


HEAD = (
    "| row | fault | clock | seed | inputs | expected | observed | missing | extra | repeats"
    " | after refusal | pause p50 / p99 s | figures | outcome |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)
