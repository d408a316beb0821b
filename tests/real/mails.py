"""Very many triggers, an e-mailer that is killed again and again, and exactly the right mails.

``python -m tests.real.mails --triggers 10000 --kills 5`` prints what became of all; the suite runs
a small one. Of the triggers a fifth come again, a twentieth are cancelled, a twentieth expired; and
a fiftieth are withdrawn from while the e-mailer is dead, right before it goes on.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.real.mailing import BOTH, NO_MAIL, PRODUCT, Shop, now_ms
from tests.rig.kafka import Kafka
from tests.rig.processes import wait_until
from tests.rig.redis import Redis

REPEATED, CANCELLED, EXPIRED, WITHDRAWN = 0.20, 0.05, 0.05, 0.02
WITHIN_S = 1_800


class Result(NamedTuple):
    """What became of a run."""

    mails: int
    expected: int
    repeated: int
    wrong: list[str]
    outcomes: dict[str, int]
    seconds: float


def run(shop: Shop, triggers: int, kills: int, seed: int = 1) -> Result:
    """Let shoppers leave carts and an e-mailer write to them, and tell what arrived."""
    draw = random.Random(seed)
    names = [f"v{number}" for number in range(triggers)]
    expired = [f"x{number}" for number in range(int(triggers * EXPIRED))]
    shop.knows(*names, *expired)
    _leave_carts(shop, names)
    _wait_until(lambda: shop.told("triggers") == triggers, "the triggers")
    published = shop.triggers()
    cancelled = set(draw.sample(names, int(triggers * CANCELLED)))
    _disturb(shop, draw, published, cancelled, expired)
    began = time.monotonic()
    withdrawn = _kill_and_withdraw(shop, draw, names, triggers, kills)
    total = triggers + len(expired)
    _wait_until(lambda: shop.told() >= total, "all outcomes")
    took_s = time.monotonic() - began
    return _judged(shop, published, set(names) - cancelled - withdrawn, took_s)


def _leave_carts(shop: Shop, names: list[str]) -> None:
    for name in names:
        shop.writes("consent-events", "consent_updated", name, purposes=BOTH)
    shop.flush()
    for name in names:
        shop.writes("cart-events", "product_added", name, product=PRODUCT, quantity=1)
    shop.flush()


def _disturb(shop, draw, published, cancelled, expired) -> None:
    """Repeat, cancel, and add what has expired."""
    again = draw.sample(sorted(published), int(len(published) * REPEATED))
    late = {
        name: published[again[0]]
        | {
            "trigger_id": f"{number:032x}",
            "visitor": name,
            "due_at_ms": now_ms() - 90_000_000,
            "expires_at_ms": now_ms() - 1_000,
        }
        for number, name in enumerate(expired)
    }
    for name, trigger in [*((name, published[name]) for name in again), *late.items()]:
        shop.publishes("triggers", name, trigger)
    for name in sorted(cancelled):
        told = {key: published[name][key] for key in ("trigger_id", "kind", "tenant", "visitor")}
        told |= {"reason": "consent_refused", "at_ms": now_ms()}
        shop.publishes("trigger-cancels", name, told)
    shop.flush()


def _kill_and_withdraw(shop, draw, names, triggers, kills) -> set[str]:
    """Kill the e-mailer so many times; meanwhile some withdraw whose mail has not come yet."""
    withdrawn: set[str] = set()
    emailer = shop.emailer()
    for number in range(kills):
        _wait_for_mails(shop, triggers * (number + 1) // (kills + 2))
        time.sleep(draw.random() / 10)
        emailer.kill()
        have = {address.partition("@")[0] for address in shop.mailbox.recipients()}
        left = sorted(set(names) - have - withdrawn)
        chosen = draw.sample(left, int(triggers * WITHDRAWN / kills))
        for name in chosen:
            shop.writes("consent-events", "consent_updated", name, purposes=NO_MAIL)
        shop.flush()
        withdrawn |= set(chosen)
        emailer.start()
    return withdrawn


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait without keeping a core busy: the mail server runs in this process."""
    ends_at = time.monotonic() + WITHIN_S
    while not condition():
        if time.monotonic() > ends_at:
            raise TimeoutError(f"waited {WITHIN_S} s in vain for {what}")
        time.sleep(0.25)


def _wait_for_mails(shop: Shop, goal: int) -> None:
    wait_until(lambda: len(shop.mailbox.mails) >= goal, f"{goal} mails", WITHIN_S)


def _judged(shop, published, expected, took_s) -> Result:
    mails = shop.mailbox.recipients()
    got = {address.partition("@")[0]: count for address, count in mails.items()}
    wrong = [f"{name} got a mail" for name in sorted(got.keys() - expected)]
    wrong += [f"{name} got none" for name in sorted(expected - got.keys())]
    ids = shop.mailbox.ids()
    wrong += [
        f"{name} got another's"
        for name in expected & got.keys()
        if ids[published[name]["trigger_id"]] != got[name]
    ]
    told = Counter(
        one.get("reason", one["type"].removeprefix("message_")) for one in shop.outcomes().values()
    )
    total = sum(got.values())
    return Result(total, len(expected), total - len(got), wrong, dict(told), took_s)


def main() -> int:
    """Run it on servers of its own, and print the result."""
    options = argparse.ArgumentParser()
    options.add_argument("--triggers", type=int, default=10_000)
    options.add_argument("--kills", type=int, default=5)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kafka, redis = Kafka(folder / "kafka"), Redis(folder / "redis")
        try:
            kafka.start()
            redis.start()
            with Shop(kafka, redis, folder, "mails").running() as shop:
                result = run(shop, given.triggers, given.kills, given.seed)
        finally:
            redis.stop()
            kafka.stop()
    print(
        f"{given.triggers:,} triggers, {given.kills} kills: {result.mails:,} mails to"
        f" {result.expected:,} who were to get one, {result.repeated} of them twice,"
        f" {len(result.wrong)} wrong; {result.seconds:.0f} s\n{json.dumps(result.outcomes)}"
    )
    print(*result.wrong[:20], sep="\n")
    return 1 if result.wrong or result.repeated > given.kills else 0


if __name__ == "__main__":
    sys.exit(main())
