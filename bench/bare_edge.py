"""The floor of the collector: accept, decode, produce and wait for Kafka, and nothing else.

The one rule: the same stack as the edge's: Starlette, uvicorn, aiokafka, orjson.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import uvicorn
from aiokafka import AIOKafkaProducer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def app(bootstrap: str) -> Starlette:
    """Return the application."""
    producers: list[AIOKafkaProducer] = []

    async def take(request: Request) -> Response:
        (producer,) = producers
        events = orjson.loads(await request.body())
        sent = [
            await producer.send("page-views", orjson.dumps(event), event["visitor"].encode())
            for event in events
        ]
        await asyncio.gather(*sent)
        return Response(b'{"accepted":%d}' % len(events), media_type="application/json")

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
            producers.append(producer)
            yield

    async def ready(_: Request) -> Response:
        return Response(b"ok")

    return Starlette(
        routes=[Route("/v1/events", take, methods=["POST"]), Route("/readyz", ready)],
        lifespan=running,
    )


if __name__ == "__main__":
    uvicorn.run(
        app(os.environ["CARTWAKE_KAFKA__BOOTSTRAP"]),
        port=int(sys.argv[1]),
        http="httptools",
        loop="asyncio",
        log_level="error",
        access_log=False,
    )
