"""Reads JSON that is right but for single values: those alone are lost.

JavaScript cuts an emoji in two (``slice``), Python writes NaN for a missing number, others send
Latin-1, control characters or a byte order mark. What cannot be read of a text becomes U+FFFD, and
a number that is none becomes null.
"""

import json
import math
import re
from typing import Any, Final

# Pairs of surrogates are one character; the group is a surrogate alone.
ESCAPES: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
# So many digits fit into 64 bits.
DIGITS: Final = 19


def repaired(body: bytes) -> Any:  # noqa: ANN401 - JSON
    r"""Return the JSON value in a body.

    Raises
    ------
    ValueError, RecursionError
        It is not JSON, or nested too deeply.

    Examples
    --------
    >>> repaired(rb'{"title": "Tea \ud83d", "price": NaN}')
    {'title': 'Tea �', 'price': None}
    """
    text = ESCAPES.sub(_whole_character, body.decode("utf-8-sig", "replace"))
    return json.loads(
        text,
        strict=False,
        parse_constant=lambda _: None,
        parse_float=_finite,
        parse_int=lambda digits: int(digits) if len(digits) <= DIGITS else _finite(digits),
    )


def _whole_character(escape: re.Match[str]) -> str:
    return "\\ufffd" if escape[1] else escape[0]


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None
