"""Amounts of money: ISO 4217 alone says how many decimals a currency has.

Without a currency, or where ISO 4217 gives no number (gold, test codes), an amount has two.
"""

from decimal import Decimal
from typing import Final

from iso4217 import raw_table

USUAL_DECIMALS: Final = 2
DECIMALS: Final[dict[str, int]] = {
    code: int(count)
    for code, entry in raw_table.items()
    if isinstance(count := entry["CcyMnrUnts"], str) and count.isdecimal()
}


def decimals(currency: str | None) -> int:
    """Return the number of decimals of amounts in a currency.

    Examples
    --------
    >>> decimals("EUR"), decimals("JPY"), decimals("KWD"), decimals("HUF"), decimals(None)
    (2, 0, 3, 2, 2)
    """
    return DECIMALS.get(currency or "", USUAL_DECIMALS)


def to_minor(amount: Decimal, currency: str | None) -> int:
    """Return an amount in minor units, rounded half to even.

    Examples
    --------
    >>> to_minor(Decimal("18.99"), "EUR"), to_minor(Decimal(1500), "JPY")
    (1899, 1500)
    """
    return int(amount.scaleb(decimals(currency)).to_integral_value())


def to_major(minor: int, currency: str | None) -> Decimal:
    """Return an amount as people write it, with all its decimals.

    Examples
    --------
    >>> to_major(1899, "EUR"), to_major(1500, "JPY"), to_major(0, "KWD")
    (Decimal('18.99'), Decimal('1500'), Decimal('0.000'))
    """
    return Decimal(minor).scaleb(-decimals(currency))
