"""The whole loop for clients of Kafka and receivers of webhooks, on the demo's embedded servers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from stream.demo.embedded import Broker, Child, WorkerProcess, free_port, redis_server
from stream.domain.topics import LANES
from tests.real.pipeline import OUTPUTS
from tests.rig.endpoint import SECRET, Endpoint

SETTINGS = {
    "CARTWAKE_WORKER__GROUP": "clients",
    "CARTWAKE_CART_ABANDONMENT__IDLE_S": "1",
    "CARTWAKE_CART_ABANDONMENT__STEPS_S": "[0]",
    "CARTWAKE_HOLDOUT__FRACTION": "0",
}


class Loop(NamedTuple):
    """A broker with a worker, and webhooks that post to an endpoint."""

    broker: Broker
    endpoint: Endpoint


@contextmanager
def running_loop(folder: Path) -> Iterator[Loop]:
    """Run it."""
    endpoint = Endpoint()
    try:
        with Broker([*LANES, *OUTPUTS, "training-examples"]) as broker, redis_server(folder) as url:
            settings = SETTINGS | {
                "CARTWAKE_KAFKA__BOOTSTRAP": broker.bootstrap,
                "CARTWAKE_REDIS__URL": url,
            }
            worker = WorkerProcess(folder, settings)
            with worker, webhooks(folder, settings, endpoint) as posting:
                for program in (worker, posting):
                    program.wait_until_ready()
                yield Loop(broker, endpoint)
    finally:
        endpoint.close()


def webhooks(folder: Path, settings: dict[str, str], endpoint: Endpoint) -> Child:
    """Return ``cartwake webhooks``."""
    port = free_port()
    told = [{"name": "crm", "url": endpoint.url, "secrets": [SECRET]}]
    own = {
        "CARTWAKE_WEBHOOKS__METRICS_PORT": str(port),
        "CARTWAKE_WEBHOOKS__ENDPOINTS": json.dumps(told),
        "CARTWAKE_WEBHOOKS__ALLOW_PRIVATE": "true",
        "CARTWAKE_WEBHOOKS__GROUP": "clients-webhooks",
    }
    return Child("webhooks", ["stream", "webhooks"], folder, settings | own, port)
