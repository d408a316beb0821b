"""The life of a worker process: log, health page, waiting for its servers, work, clean end."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable

import faust
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from stream.edge.collector import settle
from stream.edge.health import HealthPage
from stream.edge.kafka.options import quiet_clients
from stream.edge.kafka.topics import require
from stream.edge.kafka.witness import serves
from stream.edge.metrics import Metrics
from stream.edge.redis.connection import connected
from stream.edge.redis.store import RedisStore
from stream.edge.vitals import Vitals
from stream.edge.watchdog import Watchdog
from stream.settings import Settings

log = logging.getLogger(__name__)

Build = Callable[[Settings, Metrics, Vitals], faust.App]


class Worker(faust.Worker):  # type: ignore[misc, unused-ignore]
    """Faust's worker, silent but for the log, and aware of who stopped it."""

    interrupted = False

    def _on_sigint(self) -> None:
        self.interrupted = True
        self._schedule_shutdown(signal.SIGINT)


def run(settings: Settings, build: Build) -> int:
    """Run a worker until it is told to stop; return its exit code."""
    logging.basicConfig(
        level=settings.worker.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    quiet_clients()
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    metrics, kafka = Metrics(registry), settings.kafka.bootstrap
    vitals = Vitals(metrics, kafka)
    page = HealthPage(
        registry,
        settings.worker.metrics_host,
        settings.worker.metrics_port,
        alive=vitals.alive,
        ready=vitals.ready,
    )
    with page, Watchdog(vitals, lambda: serves(settings)):
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
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    if worker.interrupted:
        raise KeyboardInterrupt
    return code
