"""``cartwake webhooks``: what it is made of.

Each endpoint has a reader, a dispatcher and tasks of its own; they share only the process.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import aiohttp
from prometheus_client import CollectorRegistry

from stream.adapters.kafka.probe import serves
from stream.adapters.redis.connection import connected
from stream.adapters.redis.reader import RedisStates
from stream.config.settings import Settings
from stream.config.webhooks import Endpoint
from stream.delivery.dispatcher import UNIT as DELIVERY
from stream.delivery.dispatcher import Dispatcher
from stream.delivery.fresh_state import FreshState
from stream.delivery.outcome_writer import OutcomeWriter
from stream.delivery.process import deliver
from stream.delivery.trigger_reader import READ, Subscription, TriggerReader
from stream.delivery.trigger_reader import UNIT as RECORD
from stream.domain.records import Trigger
from stream.domain.visitor import Visitor, VisitorKey
from stream.entities.visitors import VISITOR_CODEC
from stream.errors import UsageError
from stream.runtime.bulkhead import Bulkhead, DefectCounter
from stream.runtime.health import Where
from stream.runtime.process import ProgramInfo, process
from stream.runtime.worker_clock import system_ms
from stream.webhooks.egress import is_allowed, session
from stream.webhooks.endpoint import WebhookChannel, WebhookMessage
from stream.webhooks.metrics import WebhookMetrics

EXAMPLE = '[{name = "crm", url = "https://crm.example/hook", secrets = ["whsec_..."]}]'


def run(settings: Settings) -> int:
    """Post until told to stop, and return the exit code.

    Raises
    ------
    UsageError
        There is no endpoint, or one that may not be posted to.
    CartwakeError
        Topics are missing, or the metrics' address cannot be listened on.
    """
    with process("posting webhooks"):
        _check(settings)
        asyncio.run(_serve(settings))
    return 0


def _check(settings: Settings) -> None:
    webhooks = settings.webhooks
    if not webhooks.endpoints:
        raise UsageError(f"webhooks.endpoints is empty: set it in the file, endpoints = {EXAMPLE}")
    for endpoint in webhooks.endpoints:
        if not webhooks.allow_private and not is_allowed(endpoint.url):
            raise UsageError(
                f"webhooks.endpoints: {endpoint.name} is not https:// to a public address;"
                " webhooks.allow_private = true allows others"
            )


async def _serve(settings: Settings) -> None:
    webhooks, registry = settings.webhooks, CollectorRegistry()
    redis, outcomes = connected(settings.redis), OutcomeWriter(settings.kafka)
    async with session(allow_private=webhooks.allow_private) as requests:
        build = _Build(
            settings,
            requests,
            RedisStates(redis, settings.worker.group, VISITOR_CODEC),
            outcomes,
            WebhookMetrics(registry),
            DefectCounter(registry, "webhooks"),
        )
        try:
            await deliver(
                [build.dispatcher(endpoint) for endpoint in webhooks.endpoints],
                outcomes,
                webhooks.at_once,
                _program(settings, registry, redis.address),
            )
        finally:
            await redis.close()


class _Build(NamedTuple):
    """What the dispatchers of all endpoints are built from."""

    settings: Settings
    requests: aiohttp.ClientSession
    states: RedisStates[VisitorKey, Visitor]
    outcomes: OutcomeWriter
    metrics: WebhookMetrics
    defects: DefectCounter

    def dispatcher(self, endpoint: Endpoint) -> Dispatcher[WebhookMessage]:
        """Return what posts to one endpoint."""
        name = f"webhook/{endpoint.name}"
        reader = TriggerReader(
            self.settings,
            Subscription(_group(self.settings, endpoint), name, _wanted(endpoint)),
            system_ms,
            Bulkhead(RECORD, self.defects, waits_s=()),
        )

        def count(outcome: str) -> None:
            self.metrics.attempts.labels(endpoint.name, outcome).inc()

        return Dispatcher(
            name=name,
            channel=WebhookChannel(endpoint, self.requests, count),
            reader=reader,
            fresh_state=FreshState(reader, self.states),
            outcomes=self.outcomes,
            metrics=self.metrics,
            now_ms=system_ms,
            # One endpoint's answers must never end the process that serves the others.
            bulkhead=Bulkhead(DELIVERY, self.defects, different_units=None),
        )


def _program(settings: Settings, registry: CollectorRegistry, redis: str) -> ProgramInfo:
    webhooks = settings.webhooks
    groups = [_group(settings, endpoint) for endpoint in webhooks.endpoints]
    return ProgramInfo(
        "webhooks",
        (
            f"groups {' '.join(groups)}",
            f"Kafka at {settings.kafka.bootstrap}",
            f"Redis at {redis}",
            f"topics {' '.join(READ)}",
        ),
        Where("webhooks.metrics", webhooks.metrics_host, webhooks.metrics_port),
        registry,
        lambda: all(serves(settings, READ, group) for group in groups),
    )


def _group(settings: Settings, endpoint: Endpoint) -> str:
    return f"{settings.webhooks.group}.{endpoint.name}"


def _wanted(endpoint: Endpoint) -> Callable[[Trigger], bool]:
    kinds = set(endpoint.kinds)
    return lambda trigger: (
        trigger.tenant == endpoint.tenant and (not kinds or trigger.kind in kinds)
    )
