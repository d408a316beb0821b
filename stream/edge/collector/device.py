"""The kind of device of a user agent, by ua-parser's maintained patterns; None if not certain."""

from functools import lru_cache
from typing import Final, Literal

from ua_parser import parse_device, parse_os

Device = Literal["desktop", "mobile", "tablet"]

DESKTOPS: Final = frozenset({"Windows", "Mac OS X", "Linux", "Ubuntu", "Fedora", "Chrome OS"})
LOOKED_AT_CHARACTERS: Final = 512
# Browsers share few user agents; the cached answers take 5 MB at most.
REMEMBERED: Final = 8192


def device_of(user_agent: str) -> Device | None:
    """Return the kind of device.

    Examples
    --------
    >>> device_of("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15")
    'tablet'
    >>> device_of("curl/8.4.0") is None
    True
    """
    return _known(user_agent[:LOOKED_AT_CHARACTERS])


@lru_cache(maxsize=REMEMBERED)
def _known(user_agent: str) -> Device | None:
    os = parse_os(user_agent)
    family = os.family if os else ""
    if family in DESKTOPS:
        return "desktop"
    device = parse_device(user_agent)
    if family == "iOS" and device is not None:
        return "tablet" if device.family == "iPad" else "mobile"
    # Google asks makers of tablets to leave "Mobile" out.
    if family == "Android":
        return "mobile" if "Mobile" in user_agent else "tablet"
    return None
