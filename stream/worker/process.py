"""The life of a worker process: log, health page, waiting for its servers, work, clean end."""

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Final

import faust
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from stream.adapters.kafka.options import quiet_clients
from stream.adapters.kafka.probe import serves
from stream.adapters.kafka.topics import require
from stream.adapters.redis.connection import connected
from stream.adapters.redis.store import RedisStore
from stream.adapters.wire.outgoing import TRAINING_EXAMPLES
from stream.config.settings import Settings
from stream.domain.events import TOPICS
from stream.runtime import logs
from stream.runtime.fatal import FORESEEN, fatal
from stream.runtime.gc_tuning import settle
from stream.runtime.health import HealthPage, Where
from stream.runtime.watchdog import Watchdog
from stream.worker.liveness import Vitals
from stream.worker.metrics import Metrics

log = logging.getLogger(__name__)

READ: Final = (*TOPICS, TRAINING_EXAMPLES)

Build = Callable[[Settings, Metrics, Vitals], faust.App]


class Worker(faust.Worker):  # type: ignore[misc, unused-ignore]
    """Faust's worker, silent but for the log, and aware of who stopped it."""

    interrupted = False

    def _on_sigint(self) -> None:
        self.interrupted = True
        self._schedule_shutdown(signal.SIGINT)


@fatal("working", but=FORESEEN)
def run(settings: Settings, build: Build) -> int:
    """Run a worker until it is told to stop; return its exit code."""
    logs.begin(settings.worker.log_level)
    quiet_clients()
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    metrics, kafka = Metrics(registry), settings.kafka.bootstrap
    vitals = Vitals(metrics, kafka)
    page = HealthPage(
        registry,
        Where("worker.metrics", settings.worker.metrics_host, settings.worker.metrics_port),
        alive=vitals.alive,
        ready=vitals.ready,
    )
    with page, Watchdog(vitals, lambda: serves(settings, READ, settings.worker.group)):
        log.info("Health and metrics on %s:%d", settings.worker.metrics_host, page.port)
        try:
            asyncio.run(_servers_are_there(settings, vitals))
        except asyncio.CancelledError:  # told to stop before there was anything to stop
            return 0
        vitals.begins()
        app = build(settings, metrics, vitals)
        settle()
        return _work(app)


async def _servers_are_there(settings: Settings, vitals: Vitals) -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    redis = connected(settings.redis, trial=True)
    try:
        vitals.waits_for(f"waiting for Redis at {redis.address}")
        await redis.check()
        vitals.waits_for(f"waiting for Kafka at {settings.kafka.bootstrap}")
        partitions = await require(settings, log.warning)
        await RedisStore(redis, settings.worker.group).fix_partitions(partitions)
    finally:
        await redis.close()


def _work(app: faust.App) -> int:
    app.finalize()
    worker = Worker(app, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None  # it writes control codes into the log
    crash: BaseException | None = None
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        # Faust's own codes are others: 1 where a service crashed, and 71 for want of memory.
        crash = (end.__context__ or end) if end.code else None
    if worker.interrupted:
        raise KeyboardInterrupt
    if crash is not None:
        raise crash
    return 0
