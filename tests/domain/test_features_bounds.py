"""Features: what they must never tell, how small they stay, and that no label peeks."""

import math
import os
import subprocess
import sys
from copy import deepcopy

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stream.domain.consent import Choice
from stream.domain.context import FoldContext
from stream.domain.deadlines import pass_deadlines
from stream.domain.events import (
    CartUpdated,
    CheckoutStarted,
    Context,
    ExitSignalled,
    OrderCompleted,
    PageLeft,
    PageViewed,
    Product,
    ProductAdded,
    ProductViewed,
)
from stream.domain.features import BUCKETS, Profile, VisitCounts, features, observe
from stream.domain.fold import apply
from stream.domain.kinds import REGISTRY
from stream.domain.policy import HOUR_MS, MINUTE_MS, Policy
from stream.domain.records import Example, Score
from stream.domain.session import Session
from stream.domain.visitor import Visitor, VisitorKey
from tests.domain.shopper import NOON_MS, added, page, profile_of, told


def score_all(model, _features):
    return Score(model, 0, 0.2)


def turn_of(state, now_ms):
    return FoldContext(VisitorKey("default", "v"), state, Policy(), score_all, now_ms, [], REGISTRY)


def labelled(*events):
    """Fold events and the horizon's passing; return the examples that come of it."""
    state = Visitor(consent={"personalization": Choice("granted", 0)})
    effects = []
    for event in events:
        context = turn_of(state, event.at_ms)
        apply(context, event, event.at_ms, bot=False)
        effects += context.effects
    context = turn_of(state, NOON_MS)
    pass_deadlines(context, NOON_MS + 2 * HOUR_MS, None)
    return [effect for effect in effects + context.effects if isinstance(effect, Example)]


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
    most = 9 * (4 + 2 * len(VisitCounts.__struct_fields__)) + 9
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


def test_features_are_the_same_in_every_process():
    script = (
        "from tests.domain.shopper import added, page, told\n"
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
