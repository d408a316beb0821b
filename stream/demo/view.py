"""The demo's output: a live view on a terminal, plain lines anywhere else.

Only formatting: the tally counts, and nothing is measured here.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stream.demo.tally import Tally
from stream.domain.records import Trigger
from stream.money import to_major

PLAIN_EVERY_S = 5.0
ODDITIES: dict[str, str] = {"repeated": "sent twice", "late": "late", "malformed": "malformed"}


class View(Protocol):
    """Where the demo speaks to people."""

    def say(self, line: str) -> None:
        """Add a line that stays."""

    def show(self, tally: Tally, at_s: float) -> None:
        """Show how things stand ``at_s`` seconds into the demo."""


class PlainView:
    """Implements ``View`` for files, pipes and logs: lines, and no control codes."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._next_s = PLAIN_EVERY_S

    def say(self, line: str) -> None:
        """Write the line at once."""
        self._out.write(line + "\n")
        self._out.flush()

    def show(self, tally: Tally, at_s: float) -> None:
        """Write one line every few seconds."""
        if at_s >= self._next_s:
            self._next_s = at_s - at_s % PLAIN_EVERY_S + PLAIN_EVERY_S
            self.say(f"{at_s:6.1f} s  " + "  ".join(f"{k} {v}" for k, v in standing(tally)))


class LiveView:
    """Implements ``View`` for a terminal: lines scroll by above a panel that stays."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def say(self, line: str) -> None:
        """Print the line above the panel."""
        self._live.console.print(Text(line))

    def show(self, tally: Tally, at_s: float) -> None:
        """Draw the panel anew."""
        self._live.update(panel(tally, at_s), refresh=True)


@contextmanager
def opened(out: IO[str] | None = None) -> Iterator[View]:
    """Yield the view that fits where the output goes."""
    console = Console(file=out or sys.stdout)
    if console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield LiveView(live)
    else:
        yield PlainView(console.file)


def standing(tally: Tally) -> list[tuple[str, str]]:
    """Return the figures of the moment, each with its name."""
    went_in, came_out = tally.rates
    return [
        ("in", f"{went_in:,.0f}/s"),
        ("out", f"{came_out:,.0f}/s"),
        ("timers armed", f"{tally.armed:,}"),
        ("fired", f"{tally.count('fired'):,}"),
        ("skipped", f"{tally.count('skipped'):,}"),
        ("dead letters", f"{tally.dead_letters.total():,}"),
        ("fire lag", lag(tally)),
    ]


def lag(tally: Tally) -> str:
    """Return the delay from due to decided of all triggers, as text."""
    cuts = tally.lag_ms()
    return f"p50 {cuts[0]:,.0f} ms, p99 {cuts[1]:,.0f} ms" if cuts else "-"


def panel(tally: Tally, at_s: float) -> Panel:
    """Return the panel with all figures."""
    figures = Table.grid(padding=(0, 2))
    for name, value in standing(tally):
        figures.add_row(name, Text(value, style="bold"))
    reasons = Table.grid(padding=(0, 2))
    for (kind, outcome, reason), number in sorted(tally.decisions.items()):
        style = "green" if outcome == "fired" else "yellow"
        reasons.add_row(kind, Text(reason, style=style), Text(f"{number:,}", justify="right"))
    sides = Table.grid(padding=(0, 6))
    sides.add_row(figures, reasons)
    lines = [Text(trigger_line(each), no_wrap=True) for each in tally.last_triggers]
    latest = Panel(Group(*lines), title="last triggers", border_style="dim")
    return Panel(Group(sides, latest), title=f"cartwake demo, {at_s:.0f} s (Ctrl-C ends it)")


def trigger_line(trigger: Trigger) -> str:
    """Return a trigger as one readable line."""
    due = datetime.fromtimestamp(trigger.due_at_ms / 1000, UTC)
    cart = money(trigger.cart.value_minor, trigger.cart.currency) if trigger.cart else "-"
    score = f"{trigger.score.value:.2f}" if trigger.score else "-"
    return (
        f"{trigger.kind:<16}  {trigger.tenant}/{trigger.visitor}"
        f"  cart {cart:>11}"
        f"  due {due:%H:%M:%S}.{due.microsecond // 1000:03d}Z"
        f"  {trigger.reason} (step {trigger.step})  score {score}"
    )


def money(minor: int, currency: str | None) -> str:
    """Return an amount with its currency.

    Examples
    --------
    >>> money(123456, "EUR")
    '1,234.56 EUR'
    """
    return f"{to_major(minor, currency):,} {currency or ''}".rstrip()


def summary(tally: Tally, produced: int, took_s: float, seed: int) -> list[str]:
    """Return the summary; its sum is printed even if it is wrong."""
    odd = ", ".join(f"{tally.sent[note]:,} {words}" for note, words in ODDITIES.items())
    parts = " + ".join(f"{number:,} {part}" for part, number in tally.parts().items())
    rows = [
        ("produced", f"{produced:,} events in {took_s:.1f} s, seed {seed}; among them {odd}"),
        ("events", f"{tally.counted:,} = {parts}"),
        *_decisions(tally),
        ("cancelled", _listed(tally.cancelled)),
        ("dead letters", _listed(tally.dead_letters)),
        ("fire lag", lag(tally)),
        ("timers armed", f"{tally.armed:,} when the worker was stopped"),
    ]
    return ["", "Summary", *(f"  {name:<13} {value}" for name, value in rows)]


def _decisions(tally: Tally) -> Iterator[tuple[str, str]]:
    """Yield a row for each outcome and kind."""
    for outcome in ("fired", "skipped"):
        kinds = sorted({kind for kind, each, _ in tally.decisions if each == outcome})
        for kind in kinds:
            reasons = Counter(
                {
                    reason: number
                    for (its, each, reason), number in tally.decisions.items()
                    if (its, each) == (kind, outcome)
                }
            )
            yield outcome, f"{kind}: {reasons.total() if outcome == 'fired' else _listed(reasons)}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.most_common()) or "none"
