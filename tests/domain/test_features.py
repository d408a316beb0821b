"""Features: what they tell, and above all what they must not tell."""

import math
import os
import subprocess
import sys
from copy import deepcopy

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stream.domain.consent import Choice
from stream.domain.deadlines import pass_deadlines
from stream.domain.events import (
    TOPICS,
    BehaviourEvent,
    CartUpdated,
    CheckoutStarted,
    Context,
    Event,
    ExitSignalled,
    OrderCompleted,
    PageLeft,
    PageViewed,
    Product,
    ProductAdded,
    ProductViewed,
)
from stream.domain.features import BUCKETS, COUNTED, Counts, Profile, features, observe
from stream.domain.fold import apply
from stream.domain.policy import DAY_MS, HOUR_MS, MINUTE_MS, Policy
from stream.domain.records import Example, Score
from stream.domain.session import Session
from stream.domain.turn import Turn
from stream.domain.visitor import Visitor, Who

NOON_MS = 1_470_052_800_000  # 2016-08-01 12:00 UTC, a Monday
DESKTOP = Context(device="desktop", country="DE", locale="de-AT")


def page(url="/home", at_ms=NOON_MS, **more):
    return PageViewed(id="p", visitor="v", at_ms=at_ms, url=url, context=DESKTOP, **more)


def added(at_ms=NOON_MS, quantity=1, **product):
    bag = Product(**{"id": "bag", "price_minor": 1999, **product})
    return ProductAdded(
        id="a", visitor="v", at_ms=at_ms, product=bag, quantity=quantity, context=DESKTOP
    )


def leaving(at_ms=NOON_MS, dwell_ms=5000):
    return ExitSignalled(id="x", visitor="v", at_ms=at_ms, signal="idle", dwell_ms=dwell_ms)


def profile_of(*visits):
    """Return the profile after the visits, each a list of events."""
    profile = Profile()
    for visit in visits:
        for number, event in enumerate(visit):
            observe(profile, event, event.at_ms, new_session=number == 0)
    return profile


def told(*visits):
    """Return the features at the last event of the last visit."""
    last, began_ms = visits[-1][-1], visits[-1][0].at_ms
    return features(profile_of(*visits), last, last.at_ms, Session(began_ms, last.at_ms))


def score_all(model, _features):
    return Score(model, 0, 0.2)


def turn_of(state, now_ms):
    return Turn(Who("default", "v"), state, Policy(), score_all, now_ms, [])


def labelled(*events):
    """Fold events and the horizon's passing; return the examples that come of it."""
    state = Visitor(consent={"personalization": Choice("granted", 0)})
    effects = []
    for event in events:
        turn = turn_of(state, event.at_ms)
        apply(turn, event, event.at_ms, bot=False)
        effects += turn.effects
    turn = turn_of(state, NOON_MS)
    pass_deadlines(turn, NOON_MS + 2 * HOUR_MS, None)
    return [effect for effect in effects + turn.effects if isinstance(effect, Example)]


def test_the_profile_of_one_page_view_is_small():
    assert len(msgspec.msgpack.encode(profile_of([page()]))) <= 60


words = st.text(max_size=200)
products = st.builds(
    Product,
    id=words,
    category=words | st.none(),
    brand=words | st.none(),
    price_minor=st.integers(0, 2**53) | st.none(),
)
contexts = st.none() | st.builds(
    Context,
    device=st.sampled_from(["desktop", "mobile", "tablet"]) | st.none(),
    country=st.sampled_from(["DE", "US", "VA"]) | st.none(),
    locale=st.sampled_from(["de-AT", "en", "pt-BR"]) | st.none(),
)
common = {
    "id": words,
    "visitor": words,
    "at_ms": st.integers(-(2**53), 2**53),
    "context": contexts,
}
numbers = st.integers(-(2**53), 2**53)
anything = st.one_of(
    st.builds(PageViewed, url=words, referrer=words | st.none(), **common),
    st.builds(PageLeft, url=words, dwell_ms=numbers, **common),
    st.builds(ProductViewed, product=products, **common),
    st.builds(ProductAdded, product=products, quantity=st.integers(1, 10_000), **common),
    st.builds(CartUpdated, lines=st.just([]), **common),
    st.builds(CheckoutStarted, **common),
    st.builds(ExitSignalled, signal=st.just("idle"), dwell_ms=numbers, **common),
)


@given(st.lists(st.tuples(anything, st.booleans()), max_size=30))
def test_whatever_happens_the_profile_stays_bounded_and_the_features_finite(happened):
    profile = Profile()
    for event, is_new in happened:
        observe(profile, event, event.at_ms, new_session=is_new)
        known = features(profile, event, event.at_ms, Session(NOON_MS, NOON_MS))
        assert all(math.isfinite(value) and abs(value) < 20 for value in known.values())
        assert len(known) < 60
    # Every field a number of nine bytes at most, and the heads of the three arrays.
    most = 9 * (4 + 2 * len(Counts.__struct_fields__)) + 9
    assert len(msgspec.msgpack.encode(profile)) <= most


def test_a_million_page_views_need_a_few_bytes_more_than_one():
    busy = profile_of([page()])
    for _ in range(1_000):
        observe(busy, page("https://shop.example/" + "x" * 5000), NOON_MS, new_session=False)
    busy.now.pages *= 1_000
    assert len(msgspec.msgpack.encode(busy)) <= 60


def test_names_are_bounded_however_many_brands_categories_and_sites_there_are():
    names = set()
    for number in range(2_000):
        landing = page(referrer=f"https://site-{number}.example/")
        add = added(
            quantity=1 + number * 4,
            category=f"category {number}",
            brand=f"brand {number}",
            price_minor=number**4,
            id=f"product {number}",
        )
        names |= told([landing, add]).keys()
    open_sets = 3 * (BUCKETS + 1)  # source, category, brand
    assert len(names) < open_sets + 14 + 54 + 20  # doublings of quantity and price, the rest


def test_no_identifier_is_a_feature():
    def visit(who):
        secret = f"https://shop.example/home?mail={who}&order={who}"
        buy = OrderCompleted(
            id=who, visitor=who, at_ms=NOON_MS, order=who, total_minor=5, currency="EUR", cart=who
        )
        return [
            replace(page(secret, referrer=f"https://search.example/?q={who}"), id=who, visitor=who),
            replace(page(title=who, tags=[who]), tenant=who),
            buy,
            replace(added(id=who, variant=who, name=who, url=who), id=who, visitor=who, cart=who),
        ]

    assert told(visit("anna")) == told(visit("zoe"))


def test_observing_and_telling_change_nothing_but_the_profile():
    event, profile = added(), profile_of([page(), added()])
    before = deepcopy((event, profile))
    session = Session(NOON_MS, NOON_MS)
    first = features(profile, event, NOON_MS, session)
    first["now.adds"] = 99.0
    assert features(profile, event, NOON_MS, session) != first
    assert (event, profile) == before
    assert session == Session(NOON_MS, NOON_MS)


def test_a_purchase_later_changes_the_label_and_no_feature():
    browse = page(at_ms=NOON_MS - MINUTE_MS)
    buy = OrderCompleted(
        id="o", visitor="v", at_ms=NOON_MS + 1, order="o", total_minor=1, currency="EUR"
    )
    (bought,) = labelled(browse, added(), buy)
    (silent,) = labelled(browse, added())
    assert (bought.label, silent.label) == (True, False)
    assert bought.features == silent.features


def test_what_happens_after_a_prediction_does_not_reach_its_features():
    more = [replace(page("/basket", at_ms=NOON_MS + number), id=str(number)) for number in range(9)]
    (busy,) = labelled(added(), *more)
    (quiet,) = labelled(added())
    assert busy.features == quiet.features


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
        assert profile_of([page(url)]).now == Counts(pages=1), url


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
    assert profile.before == Counts(pages=2, baskets=1, adds=1)
    assert profile.now == Counts(pages=1)
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
    assert profile.now == Counts(pages=1, dwell_s=2)


def test_a_tab_left_open_for_weeks_counts_as_an_hour():
    left = PageLeft(id="l", visitor="v", at_ms=NOON_MS, url="/", dwell_ms=2**53)
    assert profile_of([left]).now.dwell_s == 3600


def test_every_activity_is_counted():
    no_activity = {PageLeft, ExitSignalled}
    behaviour = {*TOPICS["cart-events"], *TOPICS["page-views"]} - no_activity
    assert behaviour == set(COUNTED)
    assert set(COUNTED.values()) <= set(Counts.__struct_fields__)
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


def test_features_are_the_same_in_every_process():
    script = (
        "from tests.domain.test_features import added, page, told\n"
        "referred = page(referrer='https://friends.example/')\n"
        "print(sorted(told([referred, added(category='Bags', brand='Acme')]).items()))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert b"country=DE" in runs.pop()
