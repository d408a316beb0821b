"""``cartwake demo``: the real worker with an embedded broker, a real Redis and simulated shoppers.

The one rule: no second code path. The worker is the same command as in production, as its own
process, with other addresses and shorter times; the demo only feeds it and watches.

``catalogue``, ``shoppers`` and ``traffic`` make the events, ``embedded`` runs the servers,
``tally`` counts and ``view`` shows. ``shop`` is a web shop for a person to walk through, one more
source of events beside ``traffic``, and ``storefront`` runs it with its edge.
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
from stream.demo.tally import READ_TOPICS, Tally
from stream.demo.traffic import traffic
from stream.demo.view import View
from stream.domain.topics import LANES, MESSAGE_FEEDBACK, TRAINING_EXAMPLES
from stream.errors import CartwakeError

EVENTS_PER_S = 50.0
TAIL_LINES = 15

# What takes half an hour in a shop has to happen while somebody watches.
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

    Of ``settings`` it takes thresholds that differ from their defaults; addresses are its own.

    Raises
    ------
    CartwakeError
        Something is not installed, a part has failed, or events are unaccounted for.
    KeyboardInterrupt
        It was ended by Ctrl-C, after the summary.
    """
    seed = secrets.randbelow(10_000) if seed is None else seed
    at, known = storefront.drawn()
    with _ends_in_order(), ExitStack() as stack, view.opened() as screen:
        screen.say(f"a shop to walk through: {at.shop} (in a few seconds)")
        screen.say(
            "starting a Kafka broker, Redis, a worker, an edge, an e-mailer and the shop ..."
        )
        with _undisturbed():
            broker, worker, *others = _start(stack, settings, at, known)
        children = (worker, *others)
        with _failures_told(children, screen):
            for child in children:
                child.wait_until_ready()
            show = Show(broker, worker, screen)
            start_ms = time.time_ns() // 1_000_000
            records = traffic(seed=seed, rate=rate or EVENTS_PER_S, start_ms=start_ms)
            with _interruptible() as interrupted:
                screen.say(f"all is ready, the shoppers come; seed {seed}")
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
    """Start everything; the stack ends it in the opposite order."""
    broker = stack.enter_context(
        Broker([*LANES, *READ_TOPICS, MESSAGE_FEEDBACK, TRAINING_EXAMPLES])
    )
    folder = stack.enter_context(_folder())
    redis_url = stack.enter_context(embedded.redis_server(folder))
    environment = worker_environment(settings, broker.bootstrap, redis_url)
    worker = stack.enter_context(WorkerProcess(folder, environment))
    edge = stack.enter_context(EdgeProcess(folder, broker.bootstrap, at, known))
    emailer = stack.enter_context(EmailerProcess(folder, environment, at, known))
    shop = stack.enter_context(ShopProcess(folder, environment, at, known))
    return broker, worker, edge, emailer, shop


def _conclude(tally: Tally, produced: int, took_s: float, seed: int) -> None:
    """Print the summary, and refuse one that does not add up."""
    for line in view.summary(tally, produced, took_s, seed):
        sys.stdout.write(line + "\n")
    if not produced == tally.counted == sum(tally.parts().values()):
        raise CartwakeError(
            f"{produced} events were produced, but the worker counted {tally.counted}, "
            f"of which {sum(tally.parts().values())} have a known outcome"
        )


def worker_environment(settings: Settings, bootstrap: str, redis_url: str) -> dict[str, str]:
    """Return the worker's settings as variables: those that were changed, and short times."""
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
    """Yield a folder that disappears, unless a failure has left something to read in it."""
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
def _failures_told(children: Iterable[Child], screen: View) -> Iterator[None]:
    """Show the end of each program's log where something fails."""
    try:
        yield
    except CartwakeError:
        for child in children:
            for line in child.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]:
                screen.say(f"{child.name}: {line}")
        raise


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """Let a termination or a closed terminal end what was started, as Ctrl-C does."""

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
    """Let a signal wait until what is being started is known to whoever ends it."""
    heard: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {one: signal.signal(one, lambda number, _: heard.append(number)) for one in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for one in heard:
        signal.raise_signal(one)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Make the first Ctrl-C a wish that can be asked for, so that no count is torn in two.

    A second one interrupts as ever, and whoever does not want to wait gets no summary.
    """
    wishes: list[int] = []

    def wish(number: int, _: FrameType | None) -> None:
        wishes.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, wish)
    try:
        yield lambda: bool(wishes)
    finally:
        signal.signal(signal.SIGINT, before)
