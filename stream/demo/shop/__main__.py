"""``python -m stream.demo.shop``: the shop as a process, told all by its environment."""

import os

import uvicorn

from stream.demo.embedded import LOOPBACK
from stream.demo.shop.app import SHOP, ShopAccess, ShopServer
from stream.demo.shop.inbox import Inbox
from stream.demo.shop.watch import Watch


def main() -> None:
    """Serve until terminated."""
    told = os.environ
    place = ShopAccess(
        told["SHOP_EDGE"],
        told["SHOP_BROWSER_KEY"],
        told["SHOP_SERVER_KEY"],
        told["SHOP_SIGNING_KEY"],
    )
    watch = Watch(told["SHOP_KAFKA"], told["SHOP_REDIS"], told["SHOP_GROUP"], SHOP.tenant)
    uvicorn.run(
        ShopServer(place, watch, Inbox(), int(told["SHOP_SMTP_PORT"])).app(),
        host=LOOPBACK,
        port=int(told["SHOP_PORT"]),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
