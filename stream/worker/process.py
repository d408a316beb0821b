"""A worker as a process: it waits for its servers, builds the app and runs Faust's worker."""

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Final

import faust
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from stream.adapters.kafka.options import quiet_clients
from stream.adapters.kafka.probe import serves
from stream.adapters.kafka.require import require
from stream.adapters.redis.connection import connected
from stream.adapters.redis.store import fix_partitions
from stream.config.settings import Settings
from stream.domain.topics import LANES, TRAINING_EXAMPLES
from stream.runtime.gc_tuning import settle
from stream.runtime.health import Where
from stream.runtime.process import ProgramInfo, StopSignal, process, watched
from stream.worker.liveness import WorkerLiveness
from stream.worker.metrics import Metrics

log = logging.getLogger(__name__)

READ: Final = (*LANES, TRAINING_EXAMPLES)

Build = Callable[[Settings, Metrics, WorkerLiveness], faust.App]


class QuietWorker(faust.Worker):  # type: ignore[misc, unused-ignore]
    """Faust's worker without its own output; it remembers Ctrl-C."""

    interrupted = False

    def _on_sigint(self) -> None:
        self.interrupted = True
        self._schedule_shutdown(signal.SIGINT)


def run(settings: Settings, build: Build) -> int:
    """Run a worker until it receives a signal to stop; return its exit code."""
    with process("working", settings.worker.log_level):
        quiet_clients()
        # Faust's services log by the modules that extend them: each one's start and stop.
        logging.getLogger("stream.worker.faust").setLevel(logging.WARNING)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        metrics = Metrics(registry)
        liveness = WorkerLiveness(metrics, settings.kafka.bootstrap)
        with watched(_program(settings, registry), liveness):
            if not asyncio.run(_servers_are_there(settings, liveness)):
                return 0
            liveness.pipeline_starts()
            app = build(settings, metrics, liveness)
            settle()
            return _work(app)


def _program(settings: Settings, registry: CollectorRegistry) -> ProgramInfo:
    worker = settings.worker
    return ProgramInfo(
        "worker",
        (
            f"group {worker.group}",
            f"Kafka at {settings.kafka.bootstrap}",
            f"Redis at {connected(settings.redis).address}",
            f"topics {' '.join(READ)}",
        ),
        Where("worker.metrics", worker.metrics_host, worker.metrics_port),
        registry,
        lambda: serves(settings, READ, worker.group),
    )


async def _servers_are_there(settings: Settings, liveness: WorkerLiveness) -> bool:
    """Wait for Redis and Kafka; return False if told to stop before they are there."""
    waiting = asyncio.ensure_future(_wait_for_servers(settings, liveness))
    stop = StopSignal(lambda _: waiting.cancel())
    try:
        await waiting
    except asyncio.CancelledError:
        stop.raise_if_interrupted()
        return False
    return True


async def _wait_for_servers(settings: Settings, liveness: WorkerLiveness) -> None:
    redis = connected(settings.redis, trial=True)
    try:
        liveness.note_waiting(f"waiting for Redis at {redis.address}")
        await redis.check()
        liveness.note_waiting(f"waiting for Kafka at {settings.kafka.bootstrap}")
        partitions = await require(settings, log.warning)
        await fix_partitions(redis, settings.worker.group, partitions)
    finally:
        await redis.close()


def _work(app: faust.App) -> int:
    app.finalize()
    worker = QuietWorker(app, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None  # it writes control codes into the log
    crash: BaseException | None = None
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        # Faust's own codes differ: 1 if a service crashed, 71 if memory ran out.
        crash = (end.__context__ or end) if end.code else None
    if worker.interrupted:
        raise KeyboardInterrupt
    if crash is not None:
        raise crash
    return 0
