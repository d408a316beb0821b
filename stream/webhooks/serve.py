"""``cartwake webhooks``: what it is made of.

The one rule: one desk for each endpoint, and nothing between them but the process.
"""

import asyncio
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from stream.adapters.kafka.probe import serves
from stream.adapters.redis.connection import connected
from stream.adapters.redis.reader import RedisReader
from stream.config.settings import Settings
from stream.config.webhooks import Endpoint
from stream.delivery.dispatcher import Dispatcher
from stream.delivery.fresh_state import FreshState
from stream.delivery.outcome_writer import OutcomeWriter
from stream.delivery.process import work
from stream.delivery.trigger_reader import READ, TriggerReader
from stream.domain.records import Trigger
from stream.errors import UsageError
from stream.runtime import logs
from stream.runtime.fatal import FORESEEN, fatal
from stream.runtime.health import Where
from stream.runtime.worker_clock import system_ms
from stream.webhooks.egress import is_allowed, session
from stream.webhooks.endpoint import Parcel, WebhookChannel
from stream.webhooks.metrics import WebhookMetrics

EXAMPLE = '[{name = "crm", url = "https://crm.example/hook", secrets = ["whsec_..."]}]'


@fatal("posting webhooks", but=FORESEEN)
def run(settings: Settings) -> int:
    """Post until told to stop, and return the exit code.

    Raises
    ------
    UsageError
        There is no endpoint, or one that may not be posted to.
    CartwakeError
        Topics are missing, or the metrics' address cannot be listened on.
    """
    webhooks = settings.webhooks
    if not webhooks.endpoints:
        raise UsageError(f"webhooks.endpoints is empty: set it in the file, endpoints = {EXAMPLE}")
    for endpoint in webhooks.endpoints:
        if not webhooks.allow_private and not is_allowed(endpoint.url):
            raise UsageError(
                f"webhooks.endpoints: {endpoint.name} is not https:// to a public address;"
                " webhooks.allow_private = true allows others"
            )
    logs.begin()
    asyncio.run(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    webhooks, registry = settings.webhooks, CollectorRegistry()
    metrics, teller = WebhookMetrics(registry), OutcomeWriter(settings.kafka)
    redis = connected(settings.redis)
    reader = RedisReader(redis, settings.worker.group)
    where = Where("webhooks.metrics", webhooks.metrics_host, webhooks.metrics_port)
    async with session(allow_private=webhooks.allow_private) as requests:
        groups = {one.name: f"{webhooks.group}.{one.name}" for one in webhooks.endpoints}

        def desk(endpoint: Endpoint) -> Dispatcher[Parcel]:
            name = f"webhook/{endpoint.name}"
            inbox = TriggerReader(
                settings, groups[endpoint.name], name, _wanted(endpoint), system_ms
            )

            def tell(outcome: str) -> None:
                metrics.attempts.labels(endpoint.name, outcome).inc()

            return Dispatcher(
                name=name,
                channel=WebhookChannel(endpoint, requests, tell),
                inbox=inbox,
                latest=FreshState(inbox, reader),
                teller=teller,
                metrics=metrics,
                now_ms=system_ms,
                idle_ms=settings.cart_abandonment.idle_s * 1000,
            )

        desks = [desk(endpoint) for endpoint in webhooks.endpoints]
        try:
            await work(
                desks,
                teller,
                webhooks.at_once,
                registry=registry,
                where=where,
                is_served=lambda: all(serves(settings, READ, group) for group in groups.values()),
            )
        finally:
            await redis.close()


def _wanted(endpoint: Endpoint) -> Callable[[Trigger], bool]:
    kinds = set(endpoint.kinds)
    return lambda trigger: (
        trigger.tenant == endpoint.tenant and (not kinds or trigger.kind in kinds)
    )
