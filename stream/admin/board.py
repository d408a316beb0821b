"""A group's status for people: a table, the totals below it, and what has to be looked at.

The one rule: only formatting. Without a terminal it has no control codes and is not cut.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from rich.console import Console, Group, JustifyMethod
from rich.table import Table
from rich.text import Text

from stream.admin.shards import Models, Shard, Status

WIDE: Final = 160
# So Kafka calls a group that it does not know, or no longer.
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
    """Return where to write to: the terminal, or as wide as it takes."""
    own = Console(highlight=False)
    return own if own.is_terminal else Console(highlight=False, width=WIDE)


def board(status: Status) -> Group:
    """Return everything at a glance."""
    table = Table(box=None, pad_edge=False)
    for name in COLUMNS:
        # On a narrow terminal it is the owner that takes two lines; no figure is cut.
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


def _row(shard: Shard, now: str) -> tuple[str, ...]:
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


def _clock(shard: Shard, now: str) -> str:
    """Return a shard's clock, without the date where that is today's."""
    if shard.clock_ms is None:
        # By its clock a shard has reached an end of its log; the first backlog comes before that.
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
            yield f"shard {shard.shard} cannot go on: {shard.stopped} (docs: stopped shards)"


def _models(models: Models) -> str:
    if models.unreadable:
        return f"cannot be read and are learnt anew: {models.unreadable}"
    told = ", ".join(f"{name} {count:,} examples" for name, count in models.examples.items())
    return told or "none have learnt yet"


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
