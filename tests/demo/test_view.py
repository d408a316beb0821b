"""What the demo shows: plain lines without control codes, or a panel where there is a terminal."""

import io

import pytest
from rich.console import Console
from rich.live import Live

from stream.demo import view
from stream.demo.tally import Tally
from stream.demo.view import LiveView, PlainView, opened, panel, summary, trigger_line
from tests.demo.samples import cancel, decision, message, page, trigger

EQUATION = "22 = 15 applied + 2 duplicates + 2 refused_consent + 1 bots + 2 dead_letters"
STANDING = (
    "in 4/s  out 0/s  timers armed 3  fired 1  skipped 2  dead letters 0"
    "  fire lag p50 40 ms, p99 40 ms"
)


@pytest.fixture
def tally():
    """Return the tally of a demo in which something of everything has happened."""
    tally = Tally()
    tally.sent.update({"": 17, "late": 1, "repeated": 2, "malformed": 2})
    tally.note_moment(5.0)
    tally.read_page(
        page(armed=3, applied=14, stale=1, duplicate=2, refused_consent=2, bot=1, dead_letter=2)
    )
    tally.take(message(trigger(), late_ms=40))
    tally.take(message(decision(1)))
    tally.take(message(decision(2, reason="holdout")))
    tally.take(message(decision(3, kind="exit_intent", reason="cart_empty")))
    tally.take(message(cancel()))
    return tally


def test_a_trigger_is_one_line_with_all_that_matters():
    assert trigger_line(trigger()) == (
        "cart_abandonment  tea-house/visitor-1  cart   98.00 EUR  due 14:13:20.123Z"
        "  cart_idle (step 0)  score 0.31"
    )


def test_a_trigger_without_a_score_shows_none():
    assert trigger_line(trigger(score=None)).endswith("score -")


def test_the_summary_prints_both_sides_of_the_equation(tally):
    assert summary(tally, produced=22, took_s=25.04, seed=7) == [
        "",
        "Summary",
        "  produced      22 events in 25.0 s, seed 7; among them 2 sent twice, 1 late, 2 malformed",
        f"  events        {EQUATION}",
        "  fired         cart_abandonment: 1",
        "  skipped       cart_abandonment: holdout 1",
        "  skipped       exit_intent: cart_empty 1",
        "  cancelled     consent_refused 1",
        "  dead letters  none",
        "  fire lag      p50 40 ms, p99 40 ms",
        "  timers armed  3 when the worker was stopped",
    ]


def test_a_demo_in_which_nothing_happened_has_a_summary_too():
    lines = summary(Tally(), produced=0, took_s=0.0, seed=7)
    assert "  fire lag      -" in lines
    assert "  cancelled     none" in lines


def test_without_a_terminal_there_are_plain_lines_now_and_then(tally):
    out = io.StringIO()
    with opened(out) as screen:
        assert isinstance(screen, PlainView)
        screen.say("a line")
        for at_s in (1.0, 5.2, 5.7, 9.9, 10.1):
            screen.show(tally, at_s)
    said = out.getvalue()
    assert "\x1b" not in said
    assert said.splitlines() == ["a line", f"   5.2 s  {STANDING}", f"  10.1 s  {STANDING}"]


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with opened(io.StringIO()) as screen:
        assert isinstance(screen, PlainView)


def test_a_terminal_gets_a_panel_below_the_lines(tally):
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=40)
    with Live(console=console, auto_refresh=False) as live:
        screen = LiveView(live)
        screen.say("[b]a line[/b]")
        screen.show(tally, 12.3)
    shown = console.file.getvalue()
    assert "[b]a line[/b]" in shown
    for part in ("demo, 12 s", "timers armed", "holdout", "cart_empty", "98.00 EUR", "p99 40 ms"):
        assert part in shown


def test_a_terminal_is_recognised(monkeypatch):
    out = io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(out, "isatty", lambda: True)
    with opened(out) as screen:
        assert isinstance(screen, LiveView)


def test_the_panel_lists_the_last_triggers_only(tally):
    for number in range(2, 30):
        tally.take(message(trigger(number)))
    console = Console(file=io.StringIO(), width=120)
    console.print(panel(tally, 1.0))
    assert console.file.getvalue().count("tea-house/visitor-1") == tally.last_triggers.maxlen


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(0, "EUR", "0.00 EUR"), (1_234_567, "USD", "12,345.67 USD"), (5, None, "0.05")],
)
def test_money_is_shown_with_its_currency(minor, currency, text):
    assert view.money(minor, currency) == text
