"""Replay: events from a file through the same engine, on their own clock, as fast as it goes.

The lines are one shard, in file order. Time comes from the events alone, and the result depends
on the lines and the settings alone.
"""

import asyncio
import gzip
import itertools
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import orjson
from msgspec import Struct

from stream.adapters.memory import MemoryStore
from stream.adapters.wire.codec import Rejected, clamp, decode
from stream.adapters.wire.facts import sent_by_bot
from stream.adapters.wire.outgoing import outgoing
from stream.config.policy import policies_of
from stream.config.settings import Settings
from stream.domain.records import Decision, Example
from stream.domain.topics import DEAD_LETTERS, DECISIONS, TRIGGER_CANCELS, TRIGGERS
from stream.domain.visitor import VisitorKey
from stream.entities.visitors import VISITOR_CODEC, VisitorEntity
from stream.errors import CartwakeError
from stream.learning.scorer import ModelScorer
from stream.learning.trainer import Trainer
from stream.runtime.progress import Progress
from stream.shard.clock import Fact, RecordsClock
from stream.shard.folding import Batch, Report
from stream.shard.ports import DeadLetter, Entry
from stream.shard.shard import Shard

# Small enough that the models learn within the hour, large enough that a step's cost is spread.
LINES_PER_STEP = 1_000
OUTPUTS = (TRIGGERS, DECISIONS, TRIGGER_CANCELS)
TOPIC = "lines"


class Files:
    """Implements ``stream.shard.ports.Sink``: one JSON Lines file per topic."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = {
            name: stack.enter_context((folder / f"{name}.jsonl").open("wb"))
            for name in (*OUTPUTS, DEAD_LETTERS)
        }

    async def publish(self, entries: Sequence[Entry], looked: float) -> int:  # noqa: ARG002 - at once
        """Implements ``Sink.publish``; dead letters are written by line instead."""
        for entry in entries:
            if entry.topic in OUTPUTS:
                self._files[entry.topic].write(entry.value or b"")
                self._files[entry.topic].write(b"\n")
        return len(entries)

    def write_dead_letters(self, letters: Iterable[DeadLetter]) -> None:
        """Write which lines can never be processed, and why."""
        for letter in letters:
            found = {"line": letter.offset, "reason": letter.reason}
            self._files[DEAD_LETTERS].write(orjson.dumps(found) + b"\n")


class Replay:
    """One run over a file: counts what became of the lines, and learns as it goes."""

    def __init__(self, settings: Settings, files: Files) -> None:
        self._policies = policies_of(settings)
        self._files = files
        self._trainer = Trainer()
        self._outcomes: Counter[str] = Counter()
        self._decided: Counter[str] = Counter()

    async def run(self, lines: Iterable[tuple[int, bytes]], drain_ms: int) -> None:
        """Fold all lines, then let the timers fire that are due within the drain time."""
        store = MemoryStore(VISITOR_CODEC)
        shard = Shard(
            await store.claim(0),
            store,
            self._files,
            lambda effect, _: outgoing(effect, 0, "replay"),
            VisitorEntity(self._policies, ModelScorer.following(self._trainer)),
        )
        for chunk in _chunks(lines):
            inputs = [_read(number, line) for number, line in chunk]
            facts = (one for one in inputs if isinstance(one, Fact))
            clock = RecordsClock(shard.owner.watermark.clock_ms, facts, at_end=False)
            offsets = {TOPIC: chunk[-1][0] + 1}
            self._note(await shard.step(Batch(inputs, offsets, clock, 0, live=False)))
        end_ms = shard.owner.watermark.clock_ms + drain_ms
        while (due_ms := shard.owner.next_due_ms) is not None and due_ms <= end_ms:
            clock = RecordsClock(end_ms, (), at_end=True)
            offsets = shard.owner.watermark.offsets
            self._note(await shard.step(Batch((), offsets, clock, 0, live=False)))

    def summary(self, seconds: float) -> dict[str, object]:
        """Return what became of the events; all lines that are not blank are accounted for."""
        outcomes = self._outcomes
        return {
            "events": outcomes.total(),
            "applied": sum(outcomes[one] for one in ("applied", "without_cart", "stale")),
            "duplicates": outcomes["duplicate"],
            "refused_consent": outcomes["refused_consent"],
            "bots": outcomes["bot"],
            "dead_letters": outcomes["dead_letter"],
            "fired": self._decided["fired"],
            "skipped": self._decided["skipped"],
            "exits_without_cart": outcomes["without_cart"],
            "seconds": round(seconds, 3),
            "models": {
                name: {
                    "examples": report.examples,
                    "roc_auc": report.roc_auc,
                    "log_loss": report.log_loss,
                }
                for name, report in self._trainer.report().items()
            },
        }

    def _note(self, report: Report) -> None:
        for (_, _, outcome), count in report.events.items():
            self._outcomes[outcome] += count
        self._decided.update(e.outcome for e in report.effects if isinstance(e, Decision))
        self._files.write_dead_letters(report.dead_letters)
        for effect in report.effects:
            if isinstance(effect, Example):
                self._trainer.learn(effect, self._trainer.offset)


def run(events: str, out: Path, settings: Settings, drain_s: float) -> str:
    """Replay a file (``-``: standard input) into a folder; return the summary in one line.

    Raises
    ------
    CartwakeError
        A file cannot be read or written.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        try:
            lines = stack.enter_context(_open(events))
            replay = Replay(settings, Files(out, stack))
            with Progress("replay", _size(events)) as progress:
                numbered = _numbered(lines, progress)
                asyncio.run(replay.run(numbered, round(drain_s * 1000)))
            summary = replay.summary(time.monotonic() - began)
            (out / "summary.json").write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
        except (OSError, EOFError, zlib.error) as error:
            raise CartwakeError(f"replay of {events} into {out}: {error}") from error
    return "  ".join(f"{name}={value}" for name, value in summary.items() if name != "models")


class FileLine(Struct):
    """A line of the file, as a record of a log."""

    offset: int
    value: bytes | None
    topic: str = TOPIC
    partition: int = 0
    timestamp: int = -1
    key: bytes | None = None


def _read(number: int, text: bytes) -> Fact[VisitorKey] | DeadLetter:
    try:
        event = decode(text)
    except Rejected as why:
        return DeadLetter(TOPIC, 0, number, None, text, why.reason, why.detail)
    received_ms = event.at_ms if event.received_at_ms is None else event.received_at_ms
    at_ms = clamp(event.at_ms, received_ms)
    key, bot = VisitorKey(event.tenant, event.visitor), sent_by_bot(event.context)
    line = FileLine(number, text)
    return Fact(key, event, at_ms, at_ms, TOPIC, bot, line, received_ms)


def _open(events: str) -> BinaryIO:
    if events == "-":
        return sys.stdin.buffer
    path = Path(events)
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _size(events: str) -> int | None:
    path = Path(events)
    return path.stat().st_size if path.is_file() and path.suffix != ".gz" else None


def _numbered(lines: Iterable[bytes], progress: Progress) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(lines, start=1):
        progress.advance(len(line))
        text = line.strip()
        if text:
            yield number, text


def _chunks(lines: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    numbered = iter(lines)
    while chunk := list(itertools.islice(numbered, LINES_PER_STEP)):
        yield chunk
