"""What settings may be: in words for people, and as tests of values of the right type."""

import re
from collections.abc import Callable
from email.utils import parseaddr
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit
from zoneinfo import available_timezones

DAY_S = 86_400
YEAR_S = 365 * DAY_S
PORTS = 1 << 16
FASTEST = 1_000
SMTP_SCHEMES = ("smtp", "smtp+starttls", "smtps")
REDIS_SCHEMES = ("redis", "rediss", "redis+cluster", "rediss+cluster", "unix")


class Allowed(NamedTuple):
    """What a setting may be: in words for people, and as a test of a value of the right type."""

    words: str
    test: Callable[[Any], bool] = lambda _: True


def whole(low: int, high: int, unit: str) -> Allowed:
    """Allow whole numbers from ``low`` to ``high``, both included."""
    return Allowed(f"a whole number of {unit} from {low} to {high}", lambda n: low <= n <= high)


def _is_plain(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9._-]{1,200}", text) is not None


def _are_addresses(text: str) -> bool:
    """Return whether each is ``host:port``; without a port, clients silently differ."""
    matches = [re.fullmatch(r"[^\s,/@]+:(\d{1,5})", part.strip()) for part in text.split(",")]
    return all(match is not None and 0 < int(match[1]) < PORTS for match in matches)


def _is_redis(text: str) -> bool:
    """Return whether redis-py would take all of it: it drops an unreadable database number."""
    try:
        first, *others = redis_nodes(text)
        urls = [urlsplit(one) for one in (first, *others)]
        reachable = all(_is_reachable(url) for url in urls)
    except ValueError:
        return False
    scheme, path = urls[0].scheme, urls[0].path
    # A cluster has one database.
    number = r"/?" if "+cluster" in scheme else r"(/\d*)?"
    numbered = scheme == "unix" or re.fullmatch(number, path) is not None
    return scheme in REDIS_SCHEMES and reachable and numbered


def _is_reachable(url: SplitResult) -> bool:
    return bool(url.path) if url.scheme == "unix" else bool(url.hostname) and url.port != 0


def redis_nodes(text: str) -> list[str]:
    """Return one URL for each node that a cluster's URL names; any other URL as it is."""
    url = urlsplit(text)
    if "+cluster" not in url.scheme:
        return [text]
    login, at, nodes = url.netloc.rpartition("@")
    return [url._replace(netloc=f"{login}{at}{node}").geturl() for node in nodes.split(",")]


def _rise_from_zero(steps: tuple[int, ...]) -> bool:
    rising = all(a < b for a, b in pairwise(steps))
    return steps[:1] == (0,) and rising and steps[-1] <= YEAR_S


def _is_web(text: str) -> bool:
    url = urlsplit(text)
    return not text or (url.scheme in {"http", "https"} and bool(url.netloc) and "@" not in text)


def _is_smtp(text: str) -> bool:
    try:
        url = urlsplit(text)
        is_whole = url.netloc == f"{url.hostname}:{url.port}" and not url.path.strip("/")
    except ValueError:
        return False
    return url.scheme in SMTP_SCHEMES and is_whole


def _is_sender(text: str) -> bool:
    name, address = parseaddr(text)
    is_address = re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address) is not None
    return not text or (is_address and "\n" not in name)


TEXT = Allowed("a text")
NOT_EMPTY = Allowed("a text that is not empty", bool)
PORT = Allowed("a port from 0 to 65535 (0 takes any free one)", lambda n: 0 <= n < PORTS)
SECONDS = whole(1, YEAR_S, "seconds")
WEEK = whole(1, 7 * DAY_S, "seconds")
SHARE = Allowed("a number from 0 to 1", lambda share: 0 <= share <= 1)
ADDRESSES = Allowed("host:port, or several of them with commas between", _are_addresses)
REDIS = Allowed(f"a URL with a host and one of the schemes {', '.join(REDIS_SCHEMES)}", _is_redis)
STEPS = Allowed("a list of whole seconds that starts with 0 and rises", _rise_from_zero)
# The group is also the prefix of the Redis keys, where a brace would move the shard's hash tag.
GROUP = Allowed("1 to 200 letters, digits, dots, dashes and underscores", _is_plain)
CLOCK = Allowed(
    "a time of day such as 21:00",
    lambda text: re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text) is not None,
)
ZONE = Allowed(
    "an IANA time zone such as Europe/Berlin", lambda text: text in available_timezones()
)
RATE = Allowed(f"a number above 0 up to {FASTEST}", lambda rate: 0 < rate <= FASTEST)
WEB = Allowed("an http:// or https:// URL without a login, or empty", _is_web)
SMTP = Allowed(f"scheme://host:port, the scheme one of {', '.join(SMTP_SCHEMES)}", _is_smtp)
SENDER = Allowed('an address such as "Tea Shop <hello@shop.example>", or empty', _is_sender)
