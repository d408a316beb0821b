"""Simulated shoppers: their kinds, and their next moves.

Pure and seeded; time is an argument. Times are milliseconds, and everything happens many times
faster than in a real shop.
"""

from collections.abc import Callable, Iterator
from enum import Enum
from itertools import count
from random import Random
from typing import Any, Literal, NamedTuple, get_args

from stream.demo.catalogue import SHOPS
from stream.domain import events
from stream.domain.events import Context, Event, Line, Purposes, Signal

LAPSE_MS = 5_000
SIGNALS: tuple[Signal, ...] = get_args(Signal)

BROWSERS: tuple[tuple[Literal["desktop", "mobile"], str], ...] = (
    ("desktop", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("mobile", "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"),
)
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

ALL = Purposes(analytics="granted", personalization="granted", marketing_email="granted")
SITE_ONLY = Purposes(personalization="granted", marketing_email="denied")
NOTHING = Purposes(analytics="denied", personalization="denied", marketing_email="denied")
NO_MORE = Purposes(personalization="withdrawn", marketing_email="withdrawn")


class Manner(Enum):
    """A shopper's answer to the consent banner, and the kind of visitor."""

    WELCOMES = "grants everything"
    SITE_ONLY = "grants personalization alone"
    REFUSES = "refuses everything"
    IGNORES = "does not answer"
    WITHDRAWS = "grants everything, and withdraws it on coming back"
    LAPSES = "grants everything for a few seconds"
    IS_ERASED = "grants everything, and asks to be forgotten on coming back"
    CRAWLS = "a bot that says so in its user agent"
    SCRAPES = "a bot that the storefront has noticed"


# Percentages.
MANNERS = {
    Manner.WELCOMES: 55,
    Manner.SITE_ONLY: 13,
    Manner.REFUSES: 8,
    Manner.IGNORES: 4,
    Manner.WITHDRAWS: 6,
    Manner.LAPSES: 4,
    Manner.IS_ERASED: 4,
    Manner.CRAWLS: 3,
    Manner.SCRAPES: 3,
}
GRANTING = (Manner.WELCOMES, Manner.WITHDRAWS, Manner.LAPSES, Manner.IS_ERASED)
ANSWERS = dict.fromkeys(GRANTING, ALL) | {Manner.SITE_ONLY: SITE_ONLY, Manner.REFUSES: NOTHING}


class Location(Enum):
    """Where a shopper is; the value is the average time there before the next move, in ms."""

    DOOR = 100
    BANNER = 300
    AISLES = 600
    PRODUCT = 900
    CART = 800
    CHECKOUT = 700
    AWAY = 5_000
    GONE = 0


class Shopper:
    """One visitor of one shop: a walk along ``WAYS``, one move at a time."""

    def __init__(self, number: int, at_ms: int, random: Random) -> None:
        self.random = random
        self.shop = random.choice(SHOPS)
        self.visitor = f"{number:04d}{random.getrandbits(32):08x}"
        self.manner = random.choices(list(MANNERS), list(MANNERS.values()))[0]
        self.context = self._context()
        self.place = Location.DOOR
        self.now_ms = self.page_ms = at_ms
        self.product = random.choice(self.shop.products)
        self.cart: dict[str, Line] = {}
        self._made = count(1)
        self._orders = self._visits = 0

    def _context(self) -> Context:
        device, agent = self.random.choice(BROWSERS)
        return Context(
            user_agent=CRAWLER if self.manner is Manner.CRAWLS else agent,
            locale=self.shop.locale,
            timezone=self.shop.timezone,
            country=self.shop.country,
            device=device,
            bot=self.manner is Manner.SCRAPES,
        )

    def move(self, at_ms: int) -> list[Event]:
        """Do one thing at ``at_ms``, move on, and return its events."""
        self.now_ms = at_ms
        ways = WAYS[self.place]
        way = self.random.choices(ways, [way.parts for way in ways])[0]
        made = list(way.deed(self))
        self.place = self._lead(way.then)
        return made

    def pause_ms(self) -> int:
        """Return how long to stay before the next move."""
        return int(self.place.value * self.random.uniform(0.3, 1.7))

    def enter(self) -> Iterator[Event]:
        """Come in by the front page."""
        self._visits += 1
        self.page_ms = self.now_ms
        referrer = self.random.choice(("https://search.example/", None))
        yield events.PageViewed(**self._stamp(), url="/", referrer=referrer)

    def answer_banner(self) -> Iterator[Event]:
        """Answer the banner on the first visit; on a later one perhaps withdraw."""
        answer = ANSWERS.get(self.manner)
        if self._visits > 1 and self.manner is Manner.IS_ERASED:
            yield events.ErasureRequested(**self._stamp())
        elif self._visits > 1 and self.manner is Manner.WITHDRAWS:
            yield events.ConsentUpdated(**self._stamp(), purposes=NO_MORE, source="settings")
        elif self._visits == 1 and answer is not None:
            until_ms = self.now_ms + LAPSE_MS if self.manner is Manner.LAPSES else None
            yield events.ConsentUpdated(
                **self._stamp(), purposes=answer, valid_until_ms=until_ms, source="banner"
            )

    def see_list(self) -> Iterator[Event]:
        """Look at a category."""
        shown = [each for each in self.shop.products if each.category == self.product.category]
        yield events.ProductListViewed(**self._stamp(), list=self.product.category, products=shown)

    def search(self) -> Iterator[Event]:
        """Search for something."""
        query = self.random.choice(self.shop.searches)
        yield events.ProductsSearched(**self._stamp(), query=query)

    def open_product(self) -> Iterator[Event]:
        """Open a product's page."""
        yield from self.turn_page()
        self.product = self.random.choice(self.shop.products)
        yield events.ProductViewed(**self._stamp(), product=self.product)

    def add(self) -> Iterator[Event]:
        """Put the product into the cart."""
        quantity = self.random.choice((1, 1, 1, 2, 3))
        known = self.cart.get(self.product.id)
        total = quantity + (known.quantity if known else 0)
        self.cart[self.product.id] = Line(self.product, total)
        yield events.ProductAdded(
            **self._stamp(), product=self.product, quantity=quantity, cart=self._cart_name
        )

    def remove(self) -> Iterator[Event]:
        """Take a line out of the cart, or one of it."""
        line = self._any_line()
        one = line.quantity > 1 and self.random.choice((True, False))
        if one:
            self.cart[line.product.id] = Line(line.product, line.quantity - 1)
        else:
            del self.cart[line.product.id]
        yield events.ProductRemoved(
            **self._stamp(),
            product_id=line.product.id,
            quantity=1 if one else None,
            cart=self._cart_name,
        )

    def recount(self) -> Iterator[Event]:
        """Change a quantity on the cart's page, which sends the whole cart."""
        line = self._any_line()
        self.cart[line.product.id] = Line(line.product, line.quantity % 4 + 1)
        lines = list(self.cart.values())
        yield events.CartUpdated(**self._stamp(), lines=lines, cart=self._cart_name)

    def check_out(self) -> Iterator[Event]:
        """Go to the checkout."""
        yield events.CheckoutStarted(**self._stamp(), cart=self._cart_name)

    def fill_in(self) -> Iterator[Event]:
        """Complete a step of the checkout."""
        yield events.CheckoutStepCompleted(**self._stamp(), step=1, name="address")

    def fail_to_pay(self) -> Iterator[Event]:
        """Have the payment refused."""
        yield events.PaymentFailed(**self._stamp(), code="declined", reason="insufficient funds")

    def order(self) -> Iterator[Event]:
        """Buy what is in the cart."""
        lines, name = list(self.cart.values()), self._cart_name
        self.cart.clear()
        self._orders += 1
        yield events.OrderCompleted(
            **self._stamp(),
            order=f"{self.visitor}-o{self._orders}",
            total_minor=sum(line.quantity * (line.product.price_minor or 0) for line in lines),
            currency=self.shop.products[0].currency or "",
            lines=lines,
            cart=name,
        )

    def leave(self) -> Iterator[Event]:
        """Send an exit signal, and leave."""
        signal = self.random.choice(SIGNALS)
        yield events.ExitSignalled(**self._stamp(), signal=signal, dwell_ms=self._dwell_ms, url="/")
        yield from self.turn_page()

    def turn_page(self) -> Iterator[Event]:
        """Leave the page."""
        dwell_ms, self.page_ms = self._dwell_ms, self.now_ms
        scrolled = self.random.randrange(0, 101, 5)
        yield events.PageLeft(**self._stamp(), url="/", dwell_ms=dwell_ms, scroll_pct=scrolled)

    def rest(self) -> Iterator[Event]:
        """Do nothing."""
        yield from ()

    @property
    def _dwell_ms(self) -> int:
        return self.now_ms - self.page_ms

    @property
    def _cart_name(self) -> str:
        return f"{self.visitor}-c{self._orders + 1}"

    def _any_line(self) -> Line:
        return self.random.choice(list(self.cart.values()))

    def _lead(self, place: Location) -> Location:
        """Return the next location: no checkout without a cart, and who withdraws comes back."""
        if place in {Location.CART, Location.CHECKOUT} and not self.cart:
            return Location.AISLES
        restless = self.manner in {Manner.WITHDRAWS, Manner.IS_ERASED} and self._visits == 1
        return Location.DOOR if place is Location.GONE and restless else place

    def _stamp(self) -> dict[str, Any]:
        """Return the common fields of a new event, shortly after the previous one."""
        self.now_ms += self.random.randrange(5, 40)
        return {
            "id": f"{self.visitor}-{next(self._made)}",
            "tenant": self.shop.tenant,
            "visitor": self.visitor,
            "at_ms": self.now_ms,
            "context": self.context,
        }


class Way(NamedTuple):
    """A possible move: its weight, what is done, and the next location."""

    parts: int
    deed: Callable[[Shopper], Iterator[Event]]
    then: Location


WAYS: dict[Location, tuple[Way, ...]] = {
    Location.DOOR: (Way(1, Shopper.enter, Location.BANNER),),
    Location.BANNER: (Way(1, Shopper.answer_banner, Location.AISLES),),
    Location.AISLES: (
        Way(6, Shopper.open_product, Location.PRODUCT),
        Way(3, Shopper.see_list, Location.AISLES),
        Way(2, Shopper.search, Location.AISLES),
        Way(1, Shopper.turn_page, Location.AWAY),
        Way(1, Shopper.leave, Location.AWAY),
    ),
    Location.PRODUCT: (
        Way(6, Shopper.add, Location.CART),
        Way(3, Shopper.open_product, Location.PRODUCT),
        Way(2, Shopper.turn_page, Location.AISLES),
        Way(1, Shopper.leave, Location.AWAY),
    ),
    Location.CART: (
        Way(3, Shopper.see_list, Location.AISLES),
        Way(1, Shopper.remove, Location.CART),
        Way(1, Shopper.recount, Location.CART),
        Way(4, Shopper.check_out, Location.CHECKOUT),
        Way(3, Shopper.leave, Location.AWAY),
        Way(2, Shopper.turn_page, Location.AWAY),
    ),
    Location.CHECKOUT: (
        Way(3, Shopper.fill_in, Location.CHECKOUT),
        Way(1, Shopper.fail_to_pay, Location.CHECKOUT),
        Way(4, Shopper.order, Location.AISLES),
        Way(2, Shopper.leave, Location.AWAY),
    ),
    Location.AWAY: (
        Way(2, Shopper.rest, Location.DOOR),
        Way(3, Shopper.rest, Location.GONE),
    ),
}
