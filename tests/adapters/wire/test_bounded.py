"""However much valid events say, what is kept of a visitor and what is published stays bounded."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from stream.adapters.kafka.options import LARGEST_REQUEST_BYTES
from stream.adapters.wire.codec import decode, encode_state
from stream.adapters.wire.outgoing import outgoing
from stream.domain.campaign.arbiter import MAX_SENT
from stream.domain.cart import MAX_CART_BYTES, MAX_EVIDENCE, MAX_NAME, Cart, CartLine
from stream.domain.consent import PURPOSES, Choice
from stream.domain.events import MAX_LINES, MAX_QUANTITY, Product
from stream.domain.fold import KNOWN_ORDERS, RECENT_EVENTS
from stream.domain.ids import DIGEST_BYTES
from stream.domain.kinds.cart_abandonment import (
    MAX_FIRED,
    CartAbandonmentMemory,
    FiredContents,
    FollowUps,
)
from stream.domain.kinds.exit_intent import ExitIntentMemory
from stream.domain.predictions import MAX_PENDING
from stream.domain.records import Score, Trigger
from stream.domain.session import Session
from stream.domain.topics import TOPIC_OF
from stream.domain.visitor import Behaviour, Prediction, SentTrigger, Visitor, VisitorKey
from stream.shard.clock import Fact
from tests.domain.build import HOUR, World, a_shopper, reminding
from tests.strategies import BOUNDED

# As docs/contract-notes.md has it.
MAX_STATE_BYTES = 512 * 1024
SAFE = 2**53
# A letter, what JSON escapes to two and to six bytes, and what takes two and four in UTF-8.
FILLERS = ("x", '"', "\x01", "é", "\U0001f6d2")
WHO = VisitorKey("\x01" * 64, "\x01" * 128)
ALLOWED = dict.fromkeys(PURPOSES, "granted")


def folded(world, number, kind, **fields):
    """Fold an event as a record brings it, and return it."""
    identity = {"id": f"{number:\x01>64}", "tenant": WHO.tenant, "visitor": WHO.visitor}
    told = {"type": kind, **identity, "at_ms": number, **fields}
    event = decode(json.dumps(told, ensure_ascii=False).encode())
    world.take(Fact(WHO, event, number, number, TOPIC_OF[type(event)]))


def long(filler):
    """Return a text that nearly fills a record."""
    return filler * (60_000 // len(json.dumps(filler, ensure_ascii=False).encode()[1:-1]))


def shop(world, number, act):
    """Fold what one act says, in as long words as a record carries."""
    where, filler, line = act
    product = {"id": f"p{line}", "price_minor": SAFE, "currency": "EUR"}
    words = ["", "x"] * 3_000 if where == "tags" else long(filler)
    item = {"product": product | {where: words}, "quantity": 10_000}
    if where == "lines":
        lines = [{"product": {"id": f"{n}", "name": filler * 5}, "quantity": 1} for n in range(500)]
        folded(world, number, "cart_updated", lines=lines)
    elif where == "cart":
        folded(world, number, "product_added", product=product, quantity=1, cart=long(filler))
    elif where == "id":
        folded(world, number, "product_added", product={"id": f"{line}{words}"}, quantity=1)
    else:
        folded(world, number, "product_added", **item)


def check(world):
    assert len(encode_state(world.states[WHO])) <= MAX_STATE_BYTES
    for effect in world.effects:
        entry = outgoing(effect, SAFE, "/" + "x" * 220)
        headers = sum(len(name) + len(value) + 16 for name, value in entry.headers)
        assert len(entry.key) + len(entry.value) + headers < LARGEST_REQUEST_BYTES


WHERE = ("name", "tags", "url", "id", "cart", "lines", "category")
ACTS = st.tuples(st.sampled_from(WHERE), st.sampled_from(FILLERS), st.integers(0, 40))


@settings(BOUNDED, max_examples=12)
@given(st.lists(ACTS, min_size=6, max_size=12))
def test_whatever_events_say_state_and_triggers_stay_within_their_bounds(acts):
    world = World()
    folded(world, 0, "consent_updated", purposes=ALLOWED)
    for number, act in enumerate(acts, start=1):
        shop(world, number, act)
    folded(world, 99, "exit_signalled", signal="tab_hidden", dwell_ms=5_000)
    world.wait(2 * HOUR)
    check(world)


def test_the_longest_cart_of_the_worst_characters_is_published():
    world = World()
    folded(world, 0, "consent_updated", purposes=ALLOWED)
    for number in range(1, 40):
        shop(world, number, ("name", "\x01", number))
    for number in range(40, 700):  # what is left of the room goes to many small lines
        product = {"id": f"{number}", "name": "\x01" * (2_000 if number < 200 else 1)}
        folded(world, number, "product_added", product=product, quantity=10_000)
    folded(world, 999, "exit_signalled", signal="tab_hidden", dwell_ms=5_000)
    world.wait(2 * HOUR)
    triggers = [effect for effect in world.effects if isinstance(effect, Trigger)]
    assert {effect.kind for effect in triggers} == {"exit_intent", "cart_abandonment"}
    assert len(outgoing(triggers[0], 0, "/x").value) > 5 * MAX_CART_BYTES
    check(world)


def test_a_state_with_everything_at_its_bound_is_within_the_stated_one():
    name = "x" * (MAX_CART_BYTES // MAX_LINES)
    line = CartLine(Product(name, price_minor=SAFE, currency="EUR"), MAX_QUANTITY, SAFE)
    known = {f"feature-{n}=with-a-value": 0.1234 for n in range(80)}
    fired = [FiredContents("f" * 32, SAFE)] * MAX_FIRED
    memory = {
        "cart_abandonment": CartAbandonmentMemory(SAFE, FollowUps(SAFE, SAFE), fired),
        "exit_intent": ExitIntentMemory(SAFE, SAFE),
    }
    behaviour = Behaviour(
        SAFE,
        Session(SAFE, SAFE),
        Cart(
            [line] * MAX_LINES, "é" * MAX_NAME, "f" * 32, SAFE, ["\U0001f6d2" * 64] * MAX_EVIDENCE
        ),
        SAFE,
        b"x" * (KNOWN_ORDERS * DIGEST_BYTES),
        b"x" * (RECENT_EVENTS * DIGEST_BYTES),
        SAFE,
        Score("purchase_after_exit", SAFE, 0.123),
        [Prediction("f" * 32, "purchase_after_exit", SAFE, 0.1, SAFE, known)] * MAX_PENDING,
        [SentTrigger("f" * 32, "cart_abandonment", SAFE)] * MAX_SENT,
        memory=memory,
    )
    consent = {purpose: Choice("withdrawn", SAFE, SAFE, SAFE) for purpose in PURPOSES}
    ids = b"x" * (RECENT_EVENTS * DIGEST_BYTES)
    assert len(encode_state(Visitor(consent, ids, SAFE, behaviour, SAFE))) <= MAX_STATE_BYTES


def test_of_triggers_sent_within_a_day_the_newest_are_remembered():
    ann = a_shopper(reminding(idle_ms=1_000))
    for number in range(MAX_SENT + 5):
        ann.adds(f"p{number % 3}", at=3_000 * number)
    ann.waits(3_000 * (MAX_SENT + 5))
    assert len(ann.triggers) == MAX_SENT + 5
    remembered = [sent.trigger_id for sent in ann.behaviour.sent]
    assert remembered == [trigger.trigger_id for trigger in ann.triggers[5:]]
