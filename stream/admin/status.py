"""``cartwake status``: shows shards, timers and models, once or repeatedly.

It claims no shard and joins no group. An outage while it watches is reported, and it goes on.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from rich.live import Live

from stream.adapters.kafka.options import quiet_clients
from stream.admin.board import board, console
from stream.admin.observe import observe
from stream.admin.shards import Status
from stream.config.settings import Settings
from stream.errors import CartwakeError, UsageError

EVERY_S: Final = 2.0

Show = Callable[[Status], None]


def run(settings: Settings, *, as_json: bool, watch: bool) -> int:
    """Show the status once, or until Ctrl-C; return the exit code.

    Raises
    ------
    CartwakeError
        A server is down or refuses, or an input does not exist, and ``watch`` is not set.
    """
    quiet_clients()
    with _showing(as_json=as_json, watch=watch) as show:
        asyncio.run(_watch(settings, show) if watch else _once(settings, show))
    return 0


async def _once(settings: Settings, show: Show) -> None:
    show(await observe(settings))


async def _watch(settings: Settings, show: Show) -> None:
    while True:
        try:
            await _once(settings, show)
        except UsageError:
            raise
        except CartwakeError as error:
            sys.stderr.write(f"cartwake: {error}\n")
        await asyncio.sleep(EVERY_S)


@contextmanager
def _showing(*, as_json: bool, watch: bool) -> Iterator[Show]:
    """Yield a function that shows a status: as a line of JSON, a redrawn board, or text."""
    out = console()
    if as_json:
        yield _write_json
    elif watch and out.is_terminal:
        with Live(console=out, auto_refresh=False) as live:
            yield lambda status: live.update(board(status), refresh=True)
    else:
        yield lambda status: out.print(board(status))


def _write_json(status: Status) -> None:
    sys.stdout.write(f"{msgspec.json.encode(status).decode()}\n")
    sys.stdout.flush()
