"""Features: what they tell of a shopper, a visit and an event."""

import math

import pytest
from msgspec.structs import replace

from stream.domain.events import BehaviourEvent, Event, ExitSignalled, PageLeft
from stream.domain.features import COUNTED, Profile, VisitCounts, features
from stream.domain.policy import DAY_MS, HOUR_MS, MINUTE_MS
from stream.domain.session import Session
from stream.domain.topics import CART_EVENTS, PAGE_VIEWS, event_types
from tests.domain.shopper import NOON_MS, added, leaving, page, profile_of, told


def test_an_exit_is_told_by_its_signal_and_the_time_on_the_page():
    known = told([page(), leaving(dwell_ms=6_389)])
    assert known["signal=idle"] == 1.0
    assert known["dwell_s"] == pytest.approx(math.log1p(6.389) / 3, abs=1e-4)
    assert not any(name.startswith(("quantity", "price")) for name in known)


def test_an_add_is_told_by_the_doublings_of_price_and_quantity():
    known = told([added(quantity=5, price_minor=1999, category="Bags", brand="Acme")])
    assert known["quantity=3"] == known["price=11"] == 1.0
    assert sum(name.startswith(("category=", "brand=")) for name in known) == 2


def test_an_add_without_price_category_or_brand_is_still_told():
    known = told([added(price_minor=None)])
    assert known["quantity=1"] == 1.0
    assert not any(name.startswith(("price", "category", "brand")) for name in known)


def test_where_and_with_what_somebody_shops_is_told():
    known = told([added()])
    assert known["device=desktop"] == known["country=DE"] == 1.0
    assert sum(name.startswith("language=") for name in known) == 1


def test_an_event_without_context_tells_nothing_of_it():
    known = told([replace(added(), context=None)])
    assert not any(name.startswith(("device", "country", "language")) for name in known)


def test_the_kind_of_a_page_is_known_from_its_path_alone():
    for url, kind in {
        "/basket.html": "baskets",
        "https://shop.example/cart": "baskets",
        "https://shop.example/en/Sign-In?next=/cart": "accounts",
        "/asearch.html": "searches",
    }.items():
        counts = profile_of([page(url)]).now
        assert (counts.pages, getattr(counts, kind)) == (1, 1), url
    for url in ("https://cart.example", "https://search.example/home", "/home?from=/cart", ""):
        assert profile_of([page(url)]).now == VisitCounts(pages=1), url


def test_the_site_that_led_here_is_known_from_the_first_page_alone():
    led = profile_of([page(referrer="https://friends.example/x"), page("/a")])
    assert led.source > 0
    later = profile_of([page(), page("/a", referrer="https://payment.example/")])
    assert later.source == 0


def test_the_shop_itself_and_an_empty_referrer_are_no_source():
    own = page("https://shop.example/a", referrer="https://shop.example/b")
    assert profile_of([own]).source == 0
    assert profile_of([page(referrer="")]).source == 0


def test_a_landing_page_of_any_kind_keeps_its_source():
    assert profile_of([page("/cart", referrer="https://friends.example/")]).source > 0


def test_a_new_visit_adds_the_last_one_to_history():
    first = [page(referrer="https://friends.example/"), page("/cart"), added()]
    second = page(at_ms=NOON_MS + 2 * DAY_MS)
    profile = profile_of(first, [second])
    assert profile.visits == 1
    assert profile.away_s == 2 * 24 * 3600
    assert profile.before == VisitCounts(pages=2, baskets=1, adds=1)
    assert profile.now == VisitCounts(pages=1)
    assert profile.source == 0


def test_a_first_visit_says_so_and_a_later_one_tells_history():
    first = told([page(), added()])
    later = told([page(), added()], [added(NOON_MS + DAY_MS)])
    assert "first_visit" in first
    assert "visits" not in first
    assert later["before.pages"] > 0
    assert later["away_h"] > 1
    assert "first_visit" not in later


def test_leaving_is_no_activity():
    left = PageLeft(id="l", visitor="v", at_ms=NOON_MS + HOUR_MS, url="/", dwell_ms=2_500)
    profile = profile_of([page(), left, leaving(NOON_MS + HOUR_MS)])
    assert profile.active_s == NOON_MS // 1000
    assert profile.now == VisitCounts(pages=1, dwell_s=2)


def test_a_tab_left_open_for_weeks_counts_as_an_hour():
    left = PageLeft(id="l", visitor="v", at_ms=NOON_MS, url="/", dwell_ms=2**53)
    assert profile_of([left]).now.dwell_s == 3600


def test_every_activity_is_counted():
    no_activity = {PageLeft, ExitSignalled}
    behaviour = {*event_types([CART_EVENTS, PAGE_VIEWS])} - no_activity
    assert behaviour == set(COUNTED)
    assert set(COUNTED.values()) <= set(VisitCounts.__struct_fields__)
    assert issubclass(BehaviourEvent.__args__[0], Event)


@pytest.mark.parametrize(("days", "is_weekend"), [(0, False), (4, False), (5, True), (6, True)])
def test_saturday_and_sunday_are_the_weekend(days, is_weekend):
    known = told([added(NOON_MS + days * DAY_MS)])
    assert ("weekend" in known) == is_weekend


def test_the_time_of_day_is_a_point_on_a_circle():
    known = told([added()])
    assert (known["day_sin"], known["day_cos"]) == (0.0, -1.0)


def test_an_event_before_the_visit_began_counts_as_at_its_beginning():
    early = added(NOON_MS - MINUTE_MS)
    assert features(Profile(), early, early.at_ms, Session(NOON_MS, NOON_MS))["visit_min"] == 0.0
    assert "visit_min" not in features(Profile(), early, early.at_ms, None)
