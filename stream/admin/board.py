"""Formats a group's status: a table, the totals below it, and what needs attention.

Without a terminal it has no control codes and is not cut.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from rich.console import Console, Group, JustifyMethod
from rich.table import Table
from rich.text import Text

from stream.admin.shards import ServedModels, ShardStatus, Status

WIDE: Final = 160
# Kafka's state of a group that does not exist.
UNKNOWN: Final = "Dead"
TAIL: Final = 8
COLUMNS: Final = (
    "shard",
    "owner",
    "epoch",
    "lag",
    "lag s",
    "clock",
    "visitors",
    "timers",
    "overdue",
    "outbox",
)
LEFT: Final = {"owner", "clock"}


def console() -> Console:
    """Return the console: of the terminal's width, or wide enough for all columns."""
    own = Console(highlight=False)
    return own if own.is_terminal else Console(highlight=False, width=WIDE)


def board(status: Status) -> Group:
    """Return the whole status, ready to print."""
    table = Table(box=None, pad_edge=False)
    for name in COLUMNS:
        # On a narrow terminal only the owner is wrapped; no figure is cut.
        justify: JustifyMethod = "left" if name in LEFT else "right"
        table.add_column(name, justify=justify, no_wrap=name != "owner")
    for shard in status.shards:
        row = _row(shard, _moment(status.at_ms))
        table.add_row(*row, style="red" if shard.stopped else None)
    return Group(Text(_head(status)), table, *map(Text, _tail(status)))


def _head(status: Status) -> str:
    workers = f"{status.workers} worker{'' if status.workers == 1 else 's'}"
    state = "unknown to Kafka" if status.group_state == UNKNOWN else status.group_state
    return f"group {status.group} ({state}), {workers}, {_moment(status.at_ms)} UTC"


def _row(shard: ShardStatus, now: str) -> tuple[str, ...]:
    owner = f"{shard.owner.host} {shard.owner.member[-TAIL:]}" if shard.owner else "-"
    return (
        str(shard.shard),
        owner,
        str(shard.epoch),
        f"{shard.lag_records:,}",
        f"{shard.lag_seconds:,.1f}",
        _clock(shard, now),
        f"{shard.visitors:,}",
        f"{shard.timers_armed:,}",
        f"{shard.timers_overdue:,}",
        f"{shard.outbox_entries:,}",
    )


def _clock(shard: ShardStatus, now: str) -> str:
    """Return a shard's clock, without the date if that is today's."""
    if shard.clock_ms is None:
        # A shard has no clock until it has reached the end of its log for the first time.
        return "catching up" if shard.step else "no step yet"
    date, time = _moment(shard.clock_ms).split()
    return time if now.startswith(date) else f"{date} {time}"


def _tail(status: Status) -> Iterator[str]:
    total = status.totals
    yield (
        f"total: {total.owned} of {total.shards} shards owned, lag {total.lag_records:,} records"
        f" and {total.lag_seconds:,.1f} s, {total.visitors:,} visitors, {total.timers_armed:,}"
        f" timers ({total.timers_overdue:,} overdue), {total.outbox_entries:,} in the outbox"
    )
    yield f"models: {_models(status.models)}"
    for shard in status.shards:
        if shard.stopped:
            yield f"shard {shard.shard} is stopped: {shard.stopped} (docs: stopped shards)"


def _models(models: ServedModels) -> str:
    if models.unreadable:
        return f"cannot be read, workers learn from the start: {models.unreadable}"
    return (
        ", ".join(f"{name} {count:,} examples" for name, count in models.examples.items())
        or "none have learnt yet"
    )


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
