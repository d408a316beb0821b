"""``cartwake webhooks``: what it is made of.

The one rule: one desk for each endpoint, and nothing between them but the process.
"""

import asyncio
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from stream import logs
from stream.access import Endpoint
from stream.delivery.desk import Desk
from stream.delivery.inbox import READ, Inbox
from stream.delivery.latest import Latest
from stream.delivery.process import work
from stream.delivery.teller import Teller
from stream.domain.records import Trigger
from stream.edge.fatal import FORESEEN, fatal
from stream.edge.health import Where
from stream.edge.kafka.witness import serves
from stream.edge.redis.connection import connected
from stream.edge.redis.reader import RedisReader
from stream.edge.wall import wall_ms
from stream.errors import UsageError
from stream.settings import Settings
from stream.webhooks.endpoint import Parcel, WebhookChannel
from stream.webhooks.metrics import WebhookMetrics
from stream.webhooks.reach import is_allowed, session

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
    metrics, teller = WebhookMetrics(registry), Teller(settings.kafka)
    redis = connected(settings.redis)
    reader = RedisReader(redis, settings.worker.group)
    where = Where("webhooks.metrics", webhooks.metrics_host, webhooks.metrics_port)
    async with session(allow_private=webhooks.allow_private) as requests:
        groups = {one.name: f"{webhooks.group}.{one.name}" for one in webhooks.endpoints}

        def desk(endpoint: Endpoint) -> Desk[Parcel]:
            name = f"webhook/{endpoint.name}"
            inbox = Inbox(settings, groups[endpoint.name], name, _wanted(endpoint), wall_ms)

            def tell(outcome: str) -> None:
                metrics.attempts.labels(endpoint.name, outcome).inc()

            return Desk(
                name=name,
                channel=WebhookChannel(endpoint, requests, tell),
                inbox=inbox,
                latest=Latest(inbox, reader),
                teller=teller,
                metrics=metrics,
                now_ms=wall_ms,
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
