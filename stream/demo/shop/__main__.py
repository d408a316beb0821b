"""``python -m stream.demo.shop``: the shop as a process, configured by its environment."""

import os

import uvicorn

from stream.demo.embedded import LOOPBACK
from stream.demo.shop.app import SHOP, ShopAccess, ShopServer
from stream.demo.shop.inbox import Inbox
from stream.demo.shop.watch import Watch
from stream.domain.policy import Holdout


def main() -> None:
    """Serve until terminated."""
    env = os.environ
    place = ShopAccess(
        env["SHOP_EDGE"],
        env["SHOP_BROWSER_KEY"],
        env["SHOP_SERVER_KEY"],
        env["SHOP_SIGNING_KEY"],
        Holdout(fraction=float(env["SHOP_HOLDOUT_FRACTION"]), salt=env["SHOP_HOLDOUT_SALT"]),
        int(env["SHOP_IDLE_S"]),
    )
    watch = Watch(env["SHOP_KAFKA"], env["SHOP_REDIS"], env["SHOP_GROUP"], SHOP.tenant)
    uvicorn.run(
        ShopServer(place, watch, Inbox(), int(env["SHOP_SMTP_PORT"])).app(),
        host=LOOPBACK,
        port=int(env["SHOP_PORT"]),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
