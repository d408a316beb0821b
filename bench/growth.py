"""Growth: more visitors, shards, workers, and records to a step; one thing at a time."""

import statistics
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import events, synthetic
from bench.cartwake import Cartwake, broker, drained, measured
from bench.events import PARTITIONS, Log
from bench.results import Run
from tests.rig.kafka import Kafka

VISITORS = (10_000, 100_000, 1_000_000)
SHARDS = (4, 12, 64)
WORKERS = (1, 2)
BATCHES = (50, 500, 5_000)
RECORDS = {"worker__clock": "records"}
FROZEN = RECORDS | {"worker__session_timeout_s": 40}  # the most that a worker starts with
# How many times as many things as there are events: so a short log makes a short measurement.
PER_EVENT = 2


def measure_visitors(run: Run, log: Log, repeats: int, folder: Path) -> None:
    """Drain synthetic months of more and more visitors; the largest number once."""
    run.source = "synthetic months"
    for repeat, visitors in sizes(VISITORS, log, repeats):
        source = f"synthetic {visitors} visitors"
        month = events.write(synthetic.events(visitors), source, source, PARTITIONS)
        with (
            loaded(month, folder / f"{repeat}-{visitors}", PARTITIONS) as kafka,
            Cartwake(kafka, folder, settings=RECORDS) as cartwake,
        ):
            before = cartwake.used_bytes()
            figures = drained(cartwake, month)
            figures |= stored(cartwake, before)
        run.note(f"{visitors:,} visitors", repeat, {"events": month.events} | figures)


def stored(cartwake: Cartwake, before: int) -> dict[str, float]:
    """Return what Redis holds per visitor beyond ``before``, timers and all overhead counted.

    ``bytes_median_visitor`` is the overhead per visitor and the size of the median state.
    """
    known = cartwake.visitors()
    mean = (cartwake.used_bytes() - before) / known
    states = cartwake.state_sizes()
    median = mean - statistics.fmean(states) + statistics.median(states)
    return {
        "visitors_known": known,
        "bytes_per_visitor": mean,
        "bytes_median_visitor": median,
        "state_bytes_median": statistics.median(states),
    }


def measure_shards(run: Run, log: Log, repeats: int, folder: Path) -> None:
    """Drain the log with more shards, then with more workers, then with larger steps."""
    for repeat in range(1, repeats + 1):
        for shards in SHARDS:
            with (
                loaded(log, folder / f"{repeat}-{shards}", shards) as kafka,
                Cartwake(kafka, folder, shards, RECORDS) as cartwake,
            ):
                run.note(f"{shards} shards", repeat, drained(cartwake, log))
        for workers in WORKERS:
            figures = drained_by(workers, log, folder / f"{repeat}-by-{workers}")
            run.note(f"workers: {workers}", repeat, figures)
        with loaded(log, folder / str(repeat), PARTITIONS) as kafka:
            for batch in BATCHES:
                with Cartwake(kafka, folder, settings=RECORDS) as cartwake:
                    figures = drained(cartwake, log, program=stepping(batch))
                run.note(f"records in a step: {batch:,}", repeat, figures)


def drained_by(workers: int, log: Log, folder: Path) -> dict[str, float]:
    """Let workers drain a log who have shared the shards before it was there.

    While it is loaded they are frozen, so that all of them begin at once, and at its start.
    """
    with broker(folder) as kafka, Cartwake(kafka, folder, settings=FROZEN) as cartwake:
        cartwake.start_workers(workers, wait=True)
        for worker in cartwake.workers:
            worker.pause()
        log.produce(kafka)
        for worker in cartwake.workers:
            worker.resume()
        return measured(cartwake, log)


def stepping(most: int) -> list[str]:
    """Return the command line of a worker that takes at most so many records in a step."""
    program = (
        "import sys; from stream.cli import main; from stream.adapters.kafka import owned;"
        f" owned.MAX_BATCH = {most}; sys.exit(main())"
    )
    return [sys.executable, "-c", program, "worker"]


@contextmanager
def loaded(log: Log, folder: Path, partitions: int) -> Iterator[Kafka]:
    """Start a Kafka that holds the log."""
    with broker(folder, partitions) as kafka:
        log.produce(kafka)
        yield kafka


def sizes(all_sizes: Iterable[int], log: Log, repeats: int) -> Iterator[tuple[int, int]]:
    """Yield each repeat with each size that is not too large for the log; the largest once."""
    fitting = [size for size in all_sizes if size <= PER_EVENT * log.events]
    for repeat in range(1, repeats + 1):
        for size in fitting if repeat == 1 else fitting[:-1]:
            yield repeat, size
