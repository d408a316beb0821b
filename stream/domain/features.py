"""The features of a model: counters kept per visitor, and the numbers made from them.

A feature is known when the prediction is made, and none identifies a person. So no id is among
them; of a page only its kind, and of names from an open set only a bucket.
"""

from functools import lru_cache
from math import cos, log1p, pi, sin
from operator import add
from typing import Final
from zlib import crc32

from msgspec import Struct, field
from msgspec.structs import astuple

from stream.domain.events import (
    CartUpdated,
    CheckoutStarted,
    CheckoutStepCompleted,
    Context,
    Event,
    ExitSignalled,
    OrderCompleted,
    OrderRefunded,
    PageLeft,
    PageViewed,
    PaymentFailed,
    ProductAdded,
    ProductListViewed,
    ProductRemoved,
    ProductsSearched,
    ProductViewed,
)
from stream.domain.policy import DAY_MS, MINUTE_MS
from stream.domain.session import Session

SECOND_MS: Final = 1_000
HOUR_S: Final = 3_600
# Names from an open set share this many features: enough to tell the common ones apart.
BUCKETS: Final = 32
# Brings the logarithm of a usual count, of minutes or of hours to about [0, 1], so that no model
# has to learn a scale first.
SCALE: Final = 1 / 3
# Features travel and are stored as text: more digits would say no more.
DIGITS: Final = 4
# Of Monday 0: the first of January 1970 was a Thursday.
EPOCH_WEEKDAY: Final = 3
SATURDAY: Final = 5


class VisitCounts(Struct, array_like=True, gc=False):
    """How often a shopper did what; ``dwell_s`` is seconds."""

    pages: int = 0
    products: int = 0
    lists: int = 0
    searches: int = 0
    baskets: int = 0
    accounts: int = 0
    adds: int = 0
    removes: int = 0
    updates: int = 0
    checkouts: int = 0
    failures: int = 0
    orders: int = 0
    refunds: int = 0
    dwell_s: int = 0


class Profile(Struct, array_like=True, gc=False):
    """Counters over a visitor's behaviour, small because every visitor has them.

    ``before`` adds up the ``visits`` that are over, ``now`` counts the present one; ``away_s`` is
    the time between the two. ``source`` is the bucket of the site that led here, 0 where none did.
    """

    visits: int = 0
    active_s: int | None = None
    away_s: int = 0
    source: int = 0
    now: VisitCounts = field(default_factory=VisitCounts)
    before: VisitCounts = field(default_factory=VisitCounts)


# Of the features that tell them: of the present visit, and of those before.
NAMES: Final = {
    when: tuple(f"{when}.{counter}" for counter in VisitCounts.__struct_fields__)
    for when in ("now", "before")
}
# Activity, as the contract has it: leaving a page and the signs of leaving are none.
COUNTED: Final[dict[type[Event], str]] = {
    PageViewed: "pages",
    ProductViewed: "products",
    ProductListViewed: "lists",
    ProductsSearched: "searches",
    ProductAdded: "adds",
    ProductRemoved: "removes",
    CartUpdated: "updates",
    CheckoutStarted: "checkouts",
    CheckoutStepCompleted: "checkouts",
    PaymentFailed: "failures",
    OrderCompleted: "orders",
    OrderRefunded: "refunds",
}
# Pages whose address gives their kind away, in the words of common shop systems. Plain searches,
# because an alternation costs ten times as much, on every page view.
KINDS: Final = {
    "basket": "baskets",
    "/cart": "baskets",
    "account": "accounts",
    "login": "accounts",
    "log-in": "accounts",
    "register": "accounts",
    "signin": "accounts",
    "sign-in": "accounts",
    "search": "searches",
}
LONGEST_PATH: Final = 256
LONGEST_URL: Final = 1_024
# A shop's pages are few, and most views are of the same ones.
KNOWN_PAGES: Final = 8_192


def observe(
    profile: Profile, event: Event, at_ms: int, *, new_session: bool, past: bool = False
) -> None:
    """Count one applied event.

    ``new_session`` says that it began a visit, ``past`` that it belongs to an earlier one.
    """
    at_s = at_ms // SECOND_MS
    if new_session:
        _begin_visit(profile, at_s)
    counts = profile.before if past else profile.now
    activity = COUNTED.get(type(event))
    if activity is not None:
        _count(counts, activity, 1)
        if profile.active_s is None or at_s > profile.active_s:
            profile.active_s = max(at_s, 0)
    if isinstance(event, PageViewed):
        _observe_page(profile, counts, event)
    elif isinstance(event, PageLeft):
        _count(counts, "dwell_s", min(max(event.dwell_ms // SECOND_MS, 0), HOUR_S))


def features(
    profile: Profile, event: Event, at_ms: int, session: Session | None
) -> dict[str, float]:
    """Return the features of a prediction taken right after ``event`` was observed.

    Returns
    -------
    dict[str, float]
        What is zero is left out. The names are bounded in number, whatever events say.
    """
    known: dict[str, float] = {f"source={profile.source}": 1.0}
    _tell_counts(known, "now", profile.now)
    _tell_visits(known, profile)
    if session is not None:
        known["visit_min"] = _log((at_ms - session.started_ms) / MINUTE_MS)
    _tell_moment(known, at_ms)
    if event.context is not None:
        _tell_context(known, event.context)
    if isinstance(event, ProductAdded):
        _tell_product(known, event)
    elif isinstance(event, ExitSignalled):
        known[f"signal={event.signal}"] = 1.0
        known["dwell_s"] = _log(event.dwell_ms / SECOND_MS)
    return known


def bucket(name: str) -> int:
    """Return which of the buckets, from 1 on, stands for a name: the same in every process.

    Examples
    --------
    >>> bucket("Shoes"), bucket("shoes ")
    (24, 24)
    """
    return 1 + crc32(name.strip().lower().encode()) % BUCKETS


def _begin_visit(profile: Profile, at_s: int) -> None:
    if profile.active_s is not None:
        profile.visits += 1
        profile.away_s = max(at_s - profile.active_s, 0)
    profile.before = VisitCounts(*map(add, astuple(profile.before), astuple(profile.now)))
    profile.now = VisitCounts()
    profile.source = 0


def _count(counts: VisitCounts, counter: str, more: int) -> None:
    setattr(counts, counter, getattr(counts, counter) + more)


def _observe_page(profile: Profile, counts: VisitCounts, event: PageViewed) -> None:
    kind = _kind(event.url[:LONGEST_URL])
    if kind is not None:
        _count(counts, kind, 1)
    # Later referrers are the shop itself, or a payment provider on the way back.
    if counts is profile.now and counts.pages == 1 and event.referrer is not None:
        profile.source = _source(event.referrer, event.url)


@lru_cache(maxsize=KNOWN_PAGES)
def _kind(url: str) -> str | None:
    path = _path(url)
    for word, counter in KINDS.items():
        if word in path:
            return counter
    return None


def _path(url: str) -> str:
    """Return the path in lower case; the host's name says nothing about the page."""
    _, scheme, rest = url.partition("://")
    path = "/" + rest.partition("/")[2] if scheme else url
    return path.partition("?")[0][:LONGEST_PATH].lower()


def _source(referrer: str, url: str) -> int:
    site = _host(referrer)
    return bucket(site) if site and site != _host(url) else 0


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


@lru_cache(maxsize=1_024)  # most are small counts
def _log(amount: float) -> float:
    return round(log1p(max(amount, 0.0)) * SCALE, DIGITS)


def _tell_counts(known: dict[str, float], when: str, counts: VisitCounts) -> None:
    for name, count in zip(NAMES[when], astuple(counts), strict=True):
        if count:
            known[name] = _log(count)


def _tell_visits(known: dict[str, float], profile: Profile) -> None:
    if not profile.visits:
        known["first_visit"] = 1.0
        return
    known["visits"] = _log(profile.visits)
    known["away_h"] = _log(profile.away_s / HOUR_S)
    _tell_counts(known, "before", profile.before)


def _tell_moment(known: dict[str, float], at_ms: int) -> None:
    angle = at_ms % DAY_MS / DAY_MS * 2 * pi
    known["day_sin"] = round(sin(angle), DIGITS)
    known["day_cos"] = round(cos(angle), DIGITS)
    if (at_ms // DAY_MS + EPOCH_WEEKDAY) % 7 >= SATURDAY:
        known["weekend"] = 1.0


def _tell_context(known: dict[str, float], context: Context) -> None:
    known[f"device={context.device or ''}"] = 1.0
    known[f"country={context.country or ''}"] = 1.0
    if context.locale is not None:
        known[f"language={bucket(context.locale.partition('-')[0])}"] = 1.0


def _tell_product(known: dict[str, float], event: ProductAdded) -> None:
    # The length in binary is a step for each doubling: the same for any size, and any currency.
    known[f"quantity={event.quantity.bit_length()}"] = 1.0
    product = event.product
    if product.price_minor is not None:
        known[f"price={product.price_minor.bit_length()}"] = 1.0
    if product.category is not None:
        known[f"category={bucket(product.category)}"] = 1.0
    if product.brand is not None:
        known[f"brand={bucket(product.brand)}"] = 1.0
