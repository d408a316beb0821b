"""The edge on one page: its routes, and what runs beside them.

Every refusal is answered here. A defect in one event refuses that event; any other is a 500
without details.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple, cast

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stream.adapters.redis.connection import connected
from stream.config.settings import Settings
from stream.delivery.links import Links
from stream.delivery.templates import templates_of
from stream.edge.answers import RequestRefused, refused_response
from stream.edge.authentication import Authenticator
from stream.edge.collector.append import EventLog, KafkaEventLog
from stream.edge.collector.names import VisitorNames
from stream.edge.collector.routes import BATCHES, CALLS, SHORT_CALLS, TRACKER, Collector
from stream.edge.collector.shops import Shops
from stream.edge.cookies import VisitorCookie
from stream.edge.gateway.feed import Feed
from stream.edge.gateway.hub import Hub
from stream.edge.gateway.routes import Gateway
from stream.edge.keys import Keys
from stream.edge.message_links import MessageLinks
from stream.edge.metrics import EdgeMetrics
from stream.edge.pages import Pages
from stream.edge.references import References
from stream.edge.references.memory import MemoryReferences
from stream.edge.references.redis import RedisReferences
from stream.edge.visitors import Visitors
from stream.mappers import SEARCHED_NAMES
from stream.runtime.fatal import fatal

A_DAY_S = 86_400


def build(  # noqa: PLR0913 - all that it is made of
    settings: Settings,
    metrics: EdgeMetrics,
    now_ms: Callable[[], int],
    log: EventLog,
    hub: Hub,
    *,
    references: References | None = None,
) -> Starlette:
    """Return the application; nothing connects and nothing runs.

    Without ``references`` it keeps vendors' names in memory.
    """
    edge = settings.edge
    keys, visitors = Keys(edge.keys, edge.hooks), Visitors(edge.signing_keys)
    authenticator = Authenticator(edge, keys, now_ms)
    using_names = [hook.tenant for hook in edge.hooks if hook.vendor in SEARCHED_NAMES]
    names = VisitorNames(references or MemoryReferences(), using_names)
    cookie = VisitorCookie(edge.cookie_domain)
    collector = Collector(
        authenticator, visitors, log, metrics, now_ms, names=names, shops=Shops(edge), cookie=cookie
    )
    gateway = Gateway(authenticator, visitors, keys.tenants, hub, now_ms)
    pages = Pages(authenticator, keys, visitors, log, cookie=cookie, now_ms=now_ms)
    message_links = MessageLinks(
        authenticator=authenticator,
        links=Links(edge.signing_keys),
        log=log,
        metrics=metrics,
        now_ms=now_ms,
        emailer=settings.emailer,
        templates=templates_of(settings.emailer),
    )

    async def refused(_: Request, error: Exception) -> Response:
        refusal = cast("RequestRefused", error)
        metrics.refused.labels(refusal.reason).inc()
        return refused_response(refusal)

    return Starlette(
        routes=_routes(collector, gateway, pages, message_links),
        exception_handlers={RequestRefused: refused},
        middleware=[_cors(keys.origins)],
    )


def _routes(
    collector: Collector, gateway: Gateway, pages: Pages, message_links: MessageLinks
) -> list[Route]:
    return [
        Route("/v1/events", collector.take_events, methods=["POST"]),
        *(
            Route(f"/v1/{call}", collector.take_call, methods=["POST"])
            for call in (*CALLS, *SHORT_CALLS)
        ),
        *(Route(path, collector.take_batch, methods=["POST"]) for path in BATCHES),
        Route("/v1/m", collector.ignore_measurements, methods=["POST"]),
        Route(TRACKER, collector.take_tracker, methods=["POST"]),
        Route("/i", collector.take_tracker),
        Route("/v1/hooks/{vendor}", collector.take_hook, methods=["POST"]),
        Route("/v1/hooks/{vendor}", collector.take_handshake, methods=["OPTIONS"]),
        Route("/v1/events", collector.take_handshake, methods=["OPTIONS"]),
        Route("/v1/visitor", pages.visitor),
        Route("/v1/visitor", pages.visitor_with_ticket, methods=["POST"]),
        Route("/v1/actions", gateway.actions),
        Route("/v1/unsubscribe/{token}", message_links.ask),
        Route("/v1/unsubscribe/{token}", message_links.unsubscribe, methods=["POST"]),
        Route("/v1/click/{token}", message_links.click),
        Route("/v1/carts/{token}", message_links.cart),
        Route("/cartwake.js", pages.script),
        Route("/healthz", pages.alive),
        Route("/readyz", pages.ready),
    ]


def _cors(origins: tuple[str, ...]) -> Middleware:
    """Let the shops' pages read the answers."""
    return Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_credentials=True,
        allow_methods=["GET", "POST"],
        # Vendors' clients add headers of their own, some only when they try again. Where one is not
        # allowed, the browser loses the event for good; and none of them gives a right.
        allow_headers=["*"],
        expose_headers=["Retry-After"],
        max_age=A_DAY_S,
    )


class RunningEdge(NamedTuple):
    """An edge at work."""

    app: Starlette
    hub: Hub
    log: EventLog


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Work beside the service; if this half dies the edge must not go on."""
    with fatal("serving"):
        await work()


@asynccontextmanager
async def running(
    settings: Settings, metrics: EdgeMetrics, now_ms: Callable[[], int]
) -> AsyncIterator[RunningEdge]:
    """Yield the edge at work, connected to Kafka or trying to be."""
    hub = Hub(settings.edge, metrics, now_ms)
    log = KafkaEventLog(settings.kafka, metrics.kafka_up.set)
    feed = Feed(settings, hub, now_ms, metrics.bulkhead("record"))
    beside = [asyncio.create_task(_for_ever(part.run)) for part in (log, feed)]
    redis = connected(settings.redis)  # at the first command: many edges need none
    references = RedisReferences(redis, f"{settings.worker.group}:edge", now_ms)
    try:
        yield RunningEdge(
            build(settings, metrics, now_ms, log, hub, references=references), hub, log
        )
    finally:
        for task in beside:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await redis.close()
        await log.stop()
