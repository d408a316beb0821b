"""Models: what a score, a lesson and a new snapshot cost, over the examples of the events."""

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import orjson

from bench.cpu import apart
from bench.events import Log
from bench.results import Run
from stream.domain.records import Example
from stream.learning.scorer import ModelScorer
from stream.learning.snapshot import decode, encode
from stream.learning.trainer import Trainer
from tests.learning.lessons import Lessons

EXAMPLES = 20_000
LOADS = 20


def measure(run: Run, log: Log, repeats: int, folder: Path) -> None:  # noqa: ARG001 - no servers
    """Learn and score the same examples as often as wanted."""
    for repeat in range(1, repeats + 1):
        run.note("all models", repeat, apart(learnt, log))


def learnt(log: Log) -> dict[str, float]:
    """Return examples learnt and scored a second of CPU, and the ms that a snapshot takes."""
    trainer = Trainer()
    lessons = Lessons(ModelScorer.following(trainer), everybody=True)
    examples = list(islice(lessons.examples(map(orjson.loads, log.lines())), EXAMPLES))
    learn_s = _timed(lambda: _learn(trainer, examples))
    scorer = ModelScorer.following(trainer)
    score_s = _timed(lambda: [scorer(one.model, one.features) for one in examples])
    data = encode(trainer.snapshot())
    load_s = _timed(lambda: _load(scorer, data))
    return {
        "examples": len(examples),
        "learnt_per_s": len(examples) / learn_s,
        "scored_per_s": len(examples) / score_s,
        "snapshot_bytes": len(data),
        "snapshot_load_ms": load_s / LOADS * 1000,
    }


def _learn(trainer: Trainer, examples: list[Example]) -> None:
    for offset, example in enumerate(examples, trainer.offset):
        trainer.learn(example, offset)


def _load(scorer: ModelScorer, data: bytes) -> None:
    for _ in range(LOADS):
        scorer.adopt(decode(data))


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
