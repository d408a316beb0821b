"""Reads the purposes that a shopper consents to from a TC string of IAB's framework, version 2.

A string that is cut, damaged or not for this site alone consents to nothing. (The library iab-tcf
0.2.2 was tried: it reads an empty string as a consent to everything.)
https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework
"""

import base64
import binascii
from typing import Final

VERSION: Final = 2
VERSION_BITS: Final = 6
SERVICE_SPECIFIC_BIT: Final = 138
PURPOSES_FROM: Final = 152
PURPOSES: Final = 24
CORE_CHARACTERS: Final = 4096


def consents(tc_string: str) -> dict[str, bool]:
    """Return whether each purpose, by its number, has consent; empty if the string is unreadable.

    Examples
    --------
    >>> consents("")
    {}
    """
    core = tc_string.partition(".")[0][:CORE_CHARACTERS]
    try:
        data = base64.urlsafe_b64decode(core + "=" * (-len(core) % 4))
    except (binascii.Error, ValueError):
        return {}
    bits = "".join(f"{byte:08b}" for byte in data)
    if len(bits) < PURPOSES_FROM + PURPOSES or int(bits[:VERSION_BITS], 2) != VERSION:
        return {}
    # Since 2.2 a string for several sites is not valid.
    is_ours = bits[SERVICE_SPECIFIC_BIT] == "1"
    return {
        str(number): is_ours and bits[PURPOSES_FROM + number - 1] == "1"
        for number in range(1, PURPOSES + 1)
    }
