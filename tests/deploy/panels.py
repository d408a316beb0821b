"""Every panel's queries, asked of a real Prometheus that scraped a real run of all processes.

``python -m tests.deploy.panels`` prints the number of series of each panel, and fails where a query
of one has none.
"""

import json
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from contextlib import ExitStack, suppress
from pathlib import Path

import yaml

from deploy.grafana import BOARDS
from deploy.grafana.parts import WINDOW
from stream.delivery.links import Links, MessageLink
from tests.real.mailing import NO_MAIL, PRODUCT, Shop, now_ms
from tests.rig.endpoint import SECRET, Endpoint
from tests.rig.kafka import Kafka
from tests.rig.processes import (
    LOOPBACK,
    REPOSITORY,
    SIGNING_KEYS,
    Program,
    Served,
    free_port,
    wait_until,
)
from tests.rig.redis import Redis

RUN_S = 75
INTERVAL = "1m"
SERVER = "a-server-key"
ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


class Edge:
    """The edge, and a storefront that speaks to it in every way that it counts."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.url = f"http://{LOOPBACK}:{(port := free_port())}"
        own = {
            "CARTWAKE_EDGE__LISTEN": f"{LOOPBACK}:{port}",
            "CARTWAKE_EDGE__KEYS": json.dumps([{"key": SERVER, "kind": "server"}]),
            "CARTWAKE_EDGE__SIGNING_KEYS": json.dumps(SIGNING_KEYS),
        }
        self.program = Served("edge", folder, settings | own, "edge")
        self._number = 0

    def post(self, path: str, body: object, key: str = SERVER, agent: str = "shop/1") -> None:
        login = b64encode(f"{key}:".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 - on loopback
            self.url + path,
            json.dumps(body).encode(),
            {"Authorization": f"Basic {login}", "User-Agent": agent},
        )
        with suppress(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - on loopback

    def hear(self) -> None:
        """Tell of one shopper who wants to leave, of a robot, and of what is wrong."""
        self._number += 1
        visitor = f"page-{self._number}"
        purposes = {"personalization": "granted"}
        exits = {"signal": "pointer_left_top", "dwell_ms": 9000}
        events = [
            ("consent_updated", {"purposes": purposes}),
            ("product_added", {"product": PRODUCT, "quantity": 1}),
            ("exit_signalled", exits),
            ("exit_signalled", exits),
        ]
        for kind, fields in events:
            self.post("/v1/events", [self._event(kind, visitor, fields)])
        self.post("/v1/events", [self._event("page_viewed", "robot", {"url": "/"})], agent=ROBOT)
        self.post("/v1/events", [{"type": "nonsense"}], key="wrong")
        self.post(
            f"/v1/events?sentAt={now_ms() - 900_000}",
            [self._event("page_viewed", visitor, {"url": "/"})],
        )
        self.post("/v1/track", {"anonymousId": visitor, "event": "Spoon Bent", "type": "track"})
        message = MessageLink("default", visitor, "0" * 32)
        self.post("/v1/unsubscribe/" + Links(SIGNING_KEYS).sign("unsubscribe", message), {})

    def _event(self, kind: str, visitor: str, fields: dict[str, object]) -> dict[str, object]:
        self._number += 1
        event = {"type": kind, "id": f"p{self._number}", "visitor": visitor, "at_ms": now_ms()}
        return event | fields


def prometheus(folder: Path, ports: dict[str, int]) -> tuple[Program, str]:
    """Return a Prometheus that scrapes these pages, and where it answers."""
    found = shutil.which("prometheus")
    if found is None:
        sys.exit("panels: prometheus is not installed (Debian has it in the package prometheus)")
    jobs = [
        {"job_name": f"cartwake-{name}", "static_configs": [{"targets": [f"{LOOPBACK}:{port}"]}]}
        for name, port in ports.items()
    ]
    config = folder / "prometheus.yml"
    told = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "rule_files": [str(REPOSITORY / "deploy" / "prometheus" / "rules" / "*.yml")],
        "scrape_configs": jobs,
    }
    config.write_text(yaml.safe_dump(told))
    where = f"{LOOPBACK}:{free_port()}"
    command = [found, f"--config.file={config}", f"--web.listen-address={where}"]
    command.append(f"--storage.tsdb.path={folder / 'tsdb'}")
    return Program(command, folder / "prometheus.log"), f"http://{where}"


def series(where: str, query: str) -> int:
    """Return how many series a query gives now that are numbers."""
    asked = urllib.parse.urlencode({"query": query.replace(WINDOW, INTERVAL)})
    with urllib.request.urlopen(f"{where}/api/v1/query?{asked}", timeout=10) as answer:  # noqa: S310
        found = json.load(answer)["data"]["result"]
    return sum(one["value"][1] != "NaN" for one in found)


def run(folder: Path, stack: ExitStack) -> str:
    """Let everything work for a while, and return where Prometheus answers."""
    kafka, redis = Kafka(folder / "kafka"), Redis(folder / "redis")
    for server in (kafka, redis):
        stack.callback(server.stop)
        server.start()
    shop = stack.enter_context(
        Shop(kafka, redis, folder, "panels", learning__horizon_s=5, holdout__fraction=0.3).running()
    )
    settings = shop.pipeline.settings
    endpoint = Endpoint()
    stack.callback(endpoint.close)
    hooks = [
        {"name": "crm", "url": endpoint.url, "secrets": [SECRET]},
        {"name": "away", "url": f"http://{LOOPBACK}:{free_port()}", "secrets": [SECRET]},
    ]
    edge = Edge(folder, settings)
    webhooks = Served(
        "webhooks",
        folder,
        settings
        | {
            "CARTWAKE_WEBHOOKS__ENDPOINTS": json.dumps(hooks),
            "CARTWAKE_WEBHOOKS__ALLOW_PRIVATE": "true",
        },
        "webhooks",
    )
    for program in (edge.program, webhooks):
        stack.callback(program.kill)
        program.start()
    ports = {
        "worker": shop.pipeline.workers[0].metrics_port,
        "edge": edge.program.metrics_port,
        "emailer": shop.emailer().metrics_port,
        "webhooks": webhooks.metrics_port,
    }
    watching, where = prometheus(folder, ports)
    stack.callback(watching.kill)
    watching.start()
    wait_until(lambda: "Server is ready" in watching.output, "Prometheus")
    _walk_about(shop, edge)
    return where


def _walk_about(shop: Shop, edge: Edge) -> None:
    shop.knows(*(f"v{number}" for number in range(RUN_S)))
    ends_at = time.monotonic() + RUN_S
    for number in range(10_000):
        if time.monotonic() > ends_at:
            break
        shop.leaves_a_cart(f"v{number}")
        shop.leaves_a_cart(f"unknown-{number}")
        shop.buys(f"unknown-{number - 1}")
        shop.tells("cart-events", "nonsense", "v0")
        edge.hear()
        # Reminded of it by then, by mail and at the endpoint.
        if number > 8:
            shop.agrees(f"v{number - 8}", NO_MAIL)
        if number == RUN_S // 2:
            shop.mailbox.stop()
        if number == RUN_S // 2 + 8:
            shop.mailbox.start()
        time.sleep(1)


def main() -> int:
    """Run, ask, print, and say whether every panel shows something."""
    empty = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        where = run(folder, stack)
        for board in BOARDS:
            for panel in board.panels:
                counts = [series(where, query.expr) for query in panel.queries]
                print(f"{board.name:10} {panel.title:40} {sum(counts):4} series")
                empty += [] if all(counts) else [f"{board.name}: {panel.title}"]
    print(f"{len(empty)} panels without data", *empty, sep="\n  ")
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
