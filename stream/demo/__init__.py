"""``cartwake demo``: the real worker with an embedded broker, a real Redis and simulated shoppers.

There is no second code path: the worker is the same command as in production, in its own process,
with other addresses and shorter times. The demo only sends events and shows the results.

``catalogue``, ``shoppers`` and ``traffic`` make the events, ``embedded`` runs the servers,
``tally`` counts and ``view`` shows. ``shop`` is a web shop for a person to click through, one more
source of events beside ``traffic``; ``storefront`` starts it with its edge.
"""

import json
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType
from typing import Any, NoReturn

from stream.config.settings import Settings
from stream.demo import embedded, storefront, view
from stream.demo.embedded import Broker, Child, WorkerProcess
from stream.demo.show import Show
from stream.demo.storefront import Addresses, EdgeProcess, EmailerProcess, Secrets, ShopProcess
from stream.demo.tally import Tally
from stream.demo.traffic import traffic
from stream.demo.view import View
from stream.domain.topics import LANES, TOPICS
from stream.errors import CartwakeError

EVENTS_PER_S = 50.0
TAIL_LINES = 15

# Short times, so that everything happens while somebody watches.
SHORT: dict[str, dict[str, Any]] = {
    "cart_abandonment": {
        "idle_s": 3,
        "steps_s": (0, 8),
        "min_value_minor": 800,
        "max_age_s": 30,
    },
    "exit_intent": {"min_dwell_ms": 600, "cooldown_s": 10},
    "session": {"idle_s": 6},
    "learning": {"horizon_s": 10},
    "holdout": {},
}


def run(seconds: float | None, rate: float | None, seed: int | None, settings: Settings) -> None:
    """Run the demo, for some seconds or until Ctrl-C, and print its summary.

    It takes changed thresholds from ``settings``, but has addresses of its own.

    Raises
    ------
    CartwakeError
        Something is not installed, a part has failed, or the counts do not add up.
    KeyboardInterrupt
        Ctrl-C ended it, after the summary.
    """
    seed = secrets.randbelow(10_000) if seed is None else seed
    at, known = storefront.drawn()
    with _ends_in_order(), ExitStack() as stack, view.opened() as screen:
        screen.say(f"a shop to click through: {at.shop} (in a few seconds)")
        screen.say(
            "starting a Kafka broker, Redis, a worker, an edge, an e-mailer and the shop ..."
        )
        with _undisturbed():
            broker, worker, *others = _start(stack, settings, at, known)
        children = (worker, *others)
        with _failures_shown(children, screen):
            for child in children:
                child.wait_until_ready()
            show = Show(broker, worker, screen)
            start_ms = time.time_ns() // 1_000_000
            records = traffic(seed=seed, rate=rate or EVENTS_PER_S, start_ms=start_ms)
            with _interruptible() as interrupted:
                screen.say(f"all is ready, the first shoppers arrive; seed {seed}")
                took_s = show.play(records, seconds, interrupted)
            for child in reversed(others):
                child.stop()
            show.drain()
            produced = broker.stored(LANES)
            show.stop()
    _conclude(show.tally, produced, took_s, seed)
    if interrupted():
        raise KeyboardInterrupt


def _start(
    stack: ExitStack, settings: Settings, at: Addresses, known: Secrets
) -> tuple[Broker, WorkerProcess, EdgeProcess, EmailerProcess, ShopProcess]:
    """Start everything; the stack stops it in reverse order."""
    broker = stack.enter_context(Broker(TOPICS))
    folder = stack.enter_context(_folder())
    redis_url = stack.enter_context(embedded.redis_server(folder))
    environment = worker_environment(settings, broker.bootstrap, redis_url)
    worker = stack.enter_context(WorkerProcess(folder, environment))
    edge = stack.enter_context(EdgeProcess(folder, broker.bootstrap, at, known))
    emailer = stack.enter_context(EmailerProcess(folder, environment, at, known))
    shop = stack.enter_context(ShopProcess(folder, environment, at, known))
    return broker, worker, edge, emailer, shop


def _conclude(tally: Tally, produced: int, took_s: float, seed: int) -> None:
    """Print the summary; raise if it does not add up."""
    for line in view.summary(tally, produced, took_s, seed):
        sys.stdout.write(line + "\n")
    if not produced == tally.counted == sum(tally.parts().values()):
        raise CartwakeError(
            f"{produced} events were produced, but the worker counted {tally.counted}, "
            f"of which {sum(tally.parts().values())} have a known outcome"
        )


def worker_environment(settings: Settings, bootstrap: str, redis_url: str) -> dict[str, str]:
    """Return the worker's settings as variables: changed ones, and short times."""
    values: dict[str, Any] = {"KAFKA__BOOTSTRAP": bootstrap, "REDIS__URL": redis_url}
    values["WORKER__LOG_LEVEL"] = settings.worker.log_level
    for section, short in SHORT.items():
        usual = dict(getattr(Settings(), section))
        for name, value in getattr(settings, section):
            unchanged = value == usual[name]
            values[f"{section}__{name}"] = short.get(name, value) if unchanged else value
    return {
        f"CARTWAKE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a temporary folder; after a failure it is kept if it has logs."""
    folder = Path(mkdtemp(prefix="cartwake-demo-"))
    try:
        yield folder
    except CartwakeError:
        with suppress(OSError):  # it is not empty
            folder.rmdir()
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _failures_shown(children: Iterable[Child], screen: View) -> Iterator[None]:
    """Show the end of each program's log if something fails."""
    try:
        yield
    except CartwakeError:
        for child in children:
            for line in child.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]:
                screen.say(f"{child.name}: {line}")
        raise


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """Stop all started programs on SIGTERM or a closed terminal, as on Ctrl-C."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Delay signals until all programs that are being started can be stopped."""
    received: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {one: signal.signal(one, lambda number, _: received.append(number)) for one in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for one in received:
        signal.raise_signal(one)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag that can be read, so that the counts stay consistent.

    A second one interrupts at once, without a summary.
    """
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGINT, before)
