"""Shoppers whose states cover every field of a stored state, and what happens to them later."""

from stream.domain.visitor import Visitor
from tests.domain.build import DAY, HOUR, MINUTE, Shopper, a_shopper


def nobody():
    ann = Shopper()
    ann.world.states[ann.who] = Visitor()
    return ann


def refuses():
    ann = Shopper()
    ann.chooses(at=5, personalization="denied", ads="granted", until=9 * DAY)
    return ann


def erased():
    ann = a_shopper()
    ann.adds(at=1)
    ann.is_erased(at=MINUTE)
    return ann


def looks():
    ann = a_shopper()
    ann.views(at=MINUTE)
    return ann


def fills_a_cart():
    ann = a_shopper()
    ann.adds("p1", at=0, cart="A", variant="red", name="Shoe")
    ann.adds("p2", at=MINUTE, price=None)
    return ann


def is_reminded():
    ann = fills_a_cart()
    ann.waits(2 * HOUR)
    return ann


def is_reminded_twice():
    ann = fills_a_cart()
    ann.waits(DAY + 2 * HOUR)
    return ann


def changes_the_cart():
    ann = is_reminded()
    ann.adds("p3", at=3 * HOUR)
    return ann


def wants_no_mail():
    ann = is_reminded()
    ann.refuses("marketing_email", at=3 * HOUR)
    return ann


def leaves_twice():
    ann = fills_a_cart()
    ann.leaves(at=2 * MINUTE)
    ann.views(at=5 * MINUTE)
    ann.leaves(at=6 * MINUTE)
    return ann


def buys_and_starts_again():
    ann = is_reminded()
    ann.orders("o1", at=3 * HOUR)
    ann.adds("p1", at=4 * HOUR)
    return ann


def empties_the_cart():
    ann = is_reminded()
    ann.removes("p1", at=3 * HOUR, variant="red")
    ann.removes("p2", at=3 * HOUR)
    return ann


STORIES = {
    story.__name__: story
    for story in (
        *(nobody, refuses, erased, looks, fills_a_cart, is_reminded, is_reminded_twice),
        *(changes_the_cart, wants_no_mail, leaves_twice, buys_and_starts_again, empties_the_cart),
    )
}


def goes_on(ann):
    """Let the same happen to any of them; return what comes of it, a line for each effect."""
    known, at = len(ann.world.effects), ann.world.clock_ms + 10 * HOUR
    ann.views(at=at, id="back")
    ann.leaves(at=at + MINUTE, id="away")
    ann.orders("o1", at=MINUTE, read=at + MINUTE, id="late order")
    ann.adds("p9", at=at + 2 * MINUTE, id="one more")
    ann.waits(at + 40 * DAY)
    ann.grants(at=at + 41 * DAY, id="grant")
    ann.views(at=at + 41 * DAY, id="again")
    ann.adds("p1", at=at + 41 * DAY, variant="red", id="the same")
    ann.leaves(at=at + 41 * DAY, id="last")
    ann.waits(at + 60 * DAY)
    return [line_of(effect) for effect in ann.world.effects[known:]]


def line_of(effect):
    """Return what an effect says, and the id that no two different ones share."""
    names = ("kind", "outcome", "step", "reason", "decision_id", "trigger_id", "example_id")
    facts = [getattr(effect, name, None) for name in names]
    return " ".join([type(effect).__name__, *(str(fact) for fact in facts if fact is not None)])
