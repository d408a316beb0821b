"""The demo's edge, e-mailer and shop as processes, and their settings.

Each demo makes new keys and secrets.
"""

import json
import secrets
from pathlib import Path
from typing import NamedTuple

from stream.demo.embedded import LOOPBACK, Child, free_port
from stream.demo.shop.app import SHOP
from stream.demo.shop.inbox import DOMAIN

SENDER = f"Tea House <hello@{DOMAIN}>"
OFFER = {
    "tenant": SHOP.tenant,
    "kind": "exit_intent",
    "title": "Before you go",
    "text": "Your tea is still in the cart. Delivery is free today.",
    "button": "Back to the cart",
    "url": "/#/cart",
}


class Addresses(NamedTuple):
    """Where browsers find the shop and the edge."""

    shop_port: int
    edge_port: int
    smtp_port: int

    @property
    def shop(self) -> str:
        """The shop's origin, for people."""
        return f"http://{LOOPBACK}:{self.shop_port}"

    @property
    def edge(self) -> str:
        """The edge's origin."""
        return f"http://{LOOPBACK}:{self.edge_port}"


class Secrets(NamedTuple):
    """The keys that edge and shop share."""

    browser_key: str
    server_key: str
    signing_key: str


def drawn() -> tuple[Addresses, Secrets]:
    """Return free addresses and new secrets."""
    return (
        Addresses(free_port(), free_port(), free_port()),
        Secrets("tea-house-page", secrets.token_hex(16), secrets.token_hex(32)),
    )


class EdgeProcess(Child):
    """``cartwake edge``, as its own process."""

    def __init__(self, folder: Path, bootstrap: str, at: Addresses, known: Secrets) -> None:
        keys: list[dict[str, object]] = [
            {"key": known.browser_key, "kind": "browser", "origins": [at.shop]},
            {"key": known.server_key, "kind": "server"},
        ]
        settings = {
            "CARTWAKE_KAFKA__BOOTSTRAP": bootstrap,
            "CARTWAKE_EDGE__LISTEN": f"{LOOPBACK}:{at.edge_port}",
            "CARTWAKE_EDGE__METRICS_PORT": "0",
            "CARTWAKE_EDGE__KEYS": json.dumps([{"tenant": SHOP.tenant} | key for key in keys]),
            "CARTWAKE_EDGE__SIGNING_KEYS": json.dumps([known.signing_key]),
            "CARTWAKE_EDGE__OFFERS": json.dumps([OFFER]),
            "CARTWAKE_EMAILER__CART_URL": f"{at.shop}/restore",
            "CARTWAKE_EMAILER__TENANT": SHOP.tenant,
            "CARTWAKE_EMAILER__SENDER": SENDER,
        }
        super().__init__("edge", ["stream", "edge"], folder, settings, at.edge_port)


class EmailerProcess(Child):
    """``cartwake emailer``, as its own process, without quiet hours and caps."""

    def __init__(self, folder: Path, worker: dict[str, str], at: Addresses, known: Secrets) -> None:
        port = free_port()
        settings = {
            "TENANT": SHOP.tenant,
            "SENDER": SENDER,
            "PUBLIC_URL": at.edge,
            "CART_URL": f"{at.shop}/restore",
            "SMTP_URL": f"smtp://{LOOPBACK}:{at.smtp_port}",
            "DIRECTORY": f"{at.shop}/customers/{{visitor}}",
            "DIRECTORY_TOKEN": known.server_key,
            "QUIET_FROM": "00:00",
            "QUIET_UNTIL": "00:00",
            "CAP_S": "0",
            "METRICS_PORT": str(port),
        }
        own = {f"CARTWAKE_EMAILER__{name}": value for name, value in settings.items()}
        own["CARTWAKE_EDGE__SIGNING_KEYS"] = json.dumps([known.signing_key])
        super().__init__("emailer", ["stream", "emailer"], folder, worker | own, port)


class ShopProcess(Child):
    """The shop's own server, as its own process."""

    ready_page = "/healthz"

    def __init__(self, folder: Path, worker: dict[str, str], at: Addresses, known: Secrets) -> None:
        settings = {
            "SHOP_PORT": str(at.shop_port),
            "SHOP_SMTP_PORT": str(at.smtp_port),
            "SHOP_EDGE": at.edge,
            "SHOP_BROWSER_KEY": known.browser_key,
            "SHOP_SERVER_KEY": known.server_key,
            "SHOP_SIGNING_KEY": known.signing_key,
            "SHOP_KAFKA": worker["CARTWAKE_KAFKA__BOOTSTRAP"],
            "SHOP_REDIS": worker["CARTWAKE_REDIS__URL"],
            "SHOP_GROUP": "cartwake",
            "SHOP_HOLDOUT_FRACTION": worker["CARTWAKE_HOLDOUT__FRACTION"],
            "SHOP_HOLDOUT_SALT": worker["CARTWAKE_HOLDOUT__SALT"],
            "SHOP_IDLE_S": worker["CARTWAKE_CART_ABANDONMENT__IDLE_S"],
        }
        super().__init__("shop", ["stream.demo.shop"], folder, settings, at.shop_port)
