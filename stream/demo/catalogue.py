"""The demo's invented shops: where they sell, and what.

Ids and prices never change, so that a seed always gives the same events.
"""

from typing import NamedTuple

from stream.domain.events import Product


class Shop(NamedTuple):
    """A tenant: where it sells, and what."""

    tenant: str
    country: str
    locale: str
    timezone: str
    searches: tuple[str, ...]
    products: tuple[Product, ...]


def _products(currency: str, *rows: tuple[str, str, int]) -> tuple[Product, ...]:
    return tuple(
        Product(
            id=name.lower().replace(" ", "-"),
            name=name,
            category=category,
            price_minor=price_minor,
            currency=currency,
        )
        for name, category, price_minor in rows
    )


SHOPS = (
    Shop(
        "tea-house",
        "DE",
        "de-DE",
        "Europe/Berlin",
        ("oolong", "teapot for two", "gift"),
        _products(
            "EUR",
            ("Evening Oolong", "tea", 1290),
            ("First Flush", "tea", 1850),
            ("Smoky Pine", "tea", 990),
            ("Mint and Lemon", "tea", 690),
            ("Clay Teapot", "pots", 4900),
            ("Glass Teapot", "pots", 3450),
            ("Bamboo Whisk", "tools", 1400),
            ("Honey Spoon", "tools", 450),
        ),
    ),
    Shop(
        "bike-shed",
        "US",
        "en-US",
        "America/Chicago",
        ("bell", "rain jacket", "lights for winter"),
        _products(
            "USD",
            ("Brass Bell", "parts", 1800),
            ("Leather Saddle", "parts", 9900),
            ("Puncture Kit", "parts", 750),
            ("Rain Jacket", "clothes", 7400),
            ("Wool Gloves", "clothes", 2600),
            ("Front Light", "lights", 3900),
            ("Rear Light", "lights", 2900),
            ("Reflector", "lights", 500),
        ),
    ),
)
