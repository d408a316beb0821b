"""One shopper's events, and the features they give."""

from stream.domain.events import Context, ExitSignalled, PageViewed, Product, ProductAdded
from stream.domain.features import Profile, features, observe
from stream.domain.session import Session

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
