"""Triggers and recipients for trial: each template is tried with them, and shown in the preview.

The one rule: nobody among them exists.
"""

from collections.abc import Iterator
from typing import Final

from stream.domain.events import Line, Product
from stream.domain.records import CartSnapshot, Trigger
from stream.emailer.directory import Recipient

STEPS: Final = 3
LOCALES: Final = ("en", "de")
LINES: Final = [
    Line(Product("sencha", name="Sencha, first flush", price_minor=1890, currency="EUR"), 2),
    Line(Product("pot", name="Tea pot, cast iron", price_minor=6400, currency="EUR"), 1),
]


def samples() -> Iterator[tuple[Trigger, Recipient]]:
    """Yield one of each step in each language that we have, and one of whom little is known."""
    for step in range(STEPS):
        for locale in LOCALES:
            yield _trigger(step, LINES), Recipient("someone@shop.example", "Kim", locale)
    bare = [Line(Product("sencha"), 1)]
    yield _trigger(0, bare, currency=None), Recipient("someone@shop.example")


def _trigger(step: int, lines: list[Line], currency: str | None = "EUR") -> Trigger:
    worth = sum((line.product.price_minor or 0) * line.quantity for line in lines)
    return Trigger(
        trigger_id=f"{step:032x}",
        kind="cart_abandonment",
        class_="marketing",
        tenant="default",
        visitor="4f2a",
        session="0" * 32,
        step=step,
        cart=CartSnapshot("0" * 32, worth, currency, lines),
        evidence=[],
        reason="fired",
        due_at_ms=0,
        expires_at_ms=0,
        consent={},
    )
