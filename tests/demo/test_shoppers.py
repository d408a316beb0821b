"""Simulated shoppers: all that the demo is meant to show occurs, and it is plausible."""

import itertools
from collections import Counter, defaultdict
from random import Random

import msgspec
import pytest
from crawleruseragents import is_crawler

from stream.adapters.kafka.topic_rules import FROM_OUTSIDE
from stream.demo.catalogue import SHOPS
from stream.demo.shoppers import MANNERS, WAYS, Location, Manner, Shopper
from stream.demo.traffic import traffic
from stream.domain import events
from stream.domain.events import AnyEvent, Event
from stream.domain.topics import event_types


@pytest.fixture(scope="module")
def day() -> list[Event]:
    """Return every well-formed event of a busy time, once."""
    decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
    records = itertools.islice(traffic(seed=7, rate=200, start_ms=0), 20_000)
    return [decoder.decode(each.value) for each in records if each.note in {"", "late"}]


@pytest.fixture(scope="module")
def visitors(day) -> dict[str, list[Event]]:
    """Return each visitor's events by event time."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(day, key=lambda event: event.at_ms):
        found[event.visitor].append(event)
    return found


def walk(manner: Manner, seed: int) -> list[Event]:
    """Return all that one shopper of this manner ever does."""
    shopper = Shopper(1, 0, Random(seed))
    shopper.manner = manner
    made: list[Event] = []
    while shopper.place is not Location.GONE:
        made += shopper.move(shopper.now_ms + shopper.pause_ms())
    return made


def test_every_type_of_event_but_the_refund_occurs(day):
    assert {type(event) for event in day} == set(event_types(FROM_OUTSIDE)) - {events.OrderRefunded}


def test_both_shops_sell_each_in_its_currency(day):
    sold = {(event.tenant, event.currency) for event in day if type(event) is events.OrderCompleted}
    assert sold == {("tea-house", "EUR"), ("bike-shed", "USD")}


def test_most_shoppers_grant_everything_and_some_of_each_other_manner_exist():
    assert sum(MANNERS.values()) == 100
    drawn = Counter(Shopper(n, 0, Random(n)).manner for n in range(1000))
    assert set(drawn) == set(Manner)
    assert drawn.most_common(1)[0][0] is Manner.WELCOMES


def test_consents_are_granted_in_part_refused_withdrawn_and_limited(day):
    answers = [event for event in day if type(event) is events.ConsentUpdated]
    assert any(each.purposes.marketing_email == "granted" for each in answers)
    assert any(
        (each.purposes.personalization, each.purposes.marketing_email) == ("granted", "denied")
        for each in answers
    )
    assert any(each.purposes.personalization == "denied" for each in answers)
    assert any(each.purposes.personalization == "withdrawn" for each in answers)
    assert any(each.valid_until_ms is not None for each in answers)


@pytest.mark.parametrize("seed", range(20))
def test_whoever_means_to_withdraw_or_be_forgotten_comes_back_to_do_so(seed):
    assert any(
        type(event) is events.ConsentUpdated and event.purposes.personalization == "withdrawn"
        for event in walk(Manner.WITHDRAWS, seed)
    )
    assert any(type(e) is events.ErasureRequested for e in walk(Manner.IS_ERASED, seed))


@pytest.mark.parametrize("manner", [Manner.IGNORES, Manner.CRAWLS, Manner.SCRAPES])
def test_bots_and_the_indifferent_answer_no_banner(manner):
    assert not any(type(event) is events.ConsentUpdated for event in walk(manner, 7))


def test_bots_are_known_by_user_agent_or_by_flag(day):
    agents = {event.context.user_agent for event in day}
    assert {is_crawler(agent) for agent in agents} == {True, False}
    assert any(event.context.bot for event in day)


def test_some_come_back_and_some_buy_and_some_leave_a_cart_behind(visitors):
    visits = Counter(
        sum(type(event) is events.PageViewed for event in theirs) for theirs in visitors.values()
    )
    assert set(visits) >= {1, 2, 3}
    buyers = {
        visitor
        for visitor, theirs in visitors.items()
        if any(type(event) is events.OrderCompleted for event in theirs)
    }
    adders = {
        visitor
        for visitor, theirs in visitors.items()
        if any(type(event) is events.ProductAdded for event in theirs)
    }
    assert buyers
    assert buyers < adders


def test_nobody_takes_out_or_buys_what_is_not_in_the_cart(visitors):
    for theirs in visitors.values():
        cart: Counter[str] = Counter()
        for event in theirs:
            match event:
                case events.ProductAdded():
                    cart[event.product.id] += event.quantity
                case events.ProductRemoved():
                    assert cart[event.product_id] >= (event.quantity or 1)
                    cart[event.product_id] -= event.quantity or cart[event.product_id]
                case events.CartUpdated():
                    cart = Counter({line.product.id: line.quantity for line in event.lines})
                case events.OrderCompleted():
                    assert Counter({x.product.id: x.quantity for x in event.lines}) == +cart
                    assert event.total_minor == sum(
                        x.quantity * x.product.price_minor for x in event.lines
                    )
                    cart.clear()


def test_exits_are_signalled_in_every_way_after_short_and_long_looks(day):
    exits = [event for event in day if type(event) is events.ExitSignalled]
    assert len({event.signal for event in exits}) == 5
    dwells = [event.dwell_ms for event in exits]
    assert min(dwells) >= 0
    assert min(dwells) < 600 < max(dwells)


def test_every_place_can_be_left_and_every_way_leads_somewhere():
    assert set(WAYS) == set(Location) - {Location.GONE}
    assert {way.then for ways in WAYS.values() for way in ways} == set(Location)


def test_a_shop_sells_in_one_currency_under_unique_ids():
    for shop in SHOPS:
        assert len({product.id for product in shop.products}) == len(shop.products)
        assert len({product.currency for product in shop.products}) == 1
