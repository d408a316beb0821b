"""Which values settings take: rules that pydantic checks, and the same in words for people.

A rule says no by returning False or by raising ValueError, as ``urlsplit`` does.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from email.utils import parseaddr
from typing import Final
from urllib.parse import SplitResult, urlsplit
from zoneinfo import available_timezones

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MinLen, Predicate
from pydantic import Field, Strict

DAY_S: Final = 86_400
YEAR_S: Final = 365 * DAY_S
PORTS: Final = 1 << 16
FASTEST: Final = 1_000
SMTP_SCHEMES: Final = ("smtp", "smtp+starttls", "smtps")
REDIS_SCHEMES: Final = ("redis", "rediss", "redis+cluster", "rediss+cluster", "unix")


class Allowed(GroupedMetadata):
    """Metadata of a setting's type: its rules, and ``words`` that complete "is not ..."."""

    def __init__(self, words: str, *rules: object) -> None:
        self.words = words
        self._rules = rules

    def __iter__(self) -> Iterator[object]:
        """Yield the rules, as pydantic reads them."""
        return iter(self._rules)


def whole(low: int, high: int, unit: str) -> Allowed:
    """Return the rule for whole numbers from ``low`` to ``high``, both included."""
    return Allowed(f"a whole number of {unit} from {low} to {high}", Ge(low), Le(high))


def _is_plain(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9._-]{1,200}", text) is not None


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text) is not None


def _are_addresses(text: str) -> bool:
    """Return whether each is ``host:port``; without a port, clients silently differ."""
    matches = [re.fullmatch(r"[^\s,/@]+:(\d{1,5})", part.strip()) for part in text.split(",")]
    return all(match is not None and 0 < int(match[1]) < PORTS for match in matches)


def _is_redis(text: str) -> bool:
    """Return whether redis-py would take all of it: it drops an unreadable database number."""
    first, *others = redis_nodes(text)
    urls = [urlsplit(one) for one in (first, *others)]
    reachable = all(_is_reachable(url) for url in urls)
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


def _is_web(text: str) -> bool:
    url = urlsplit(text)
    return not text or (url.scheme in {"http", "https"} and bool(url.netloc) and "@" not in text)


def _is_smtp(text: str) -> bool:
    url = urlsplit(text)
    is_whole = url.netloc == f"{url.hostname}:{url.port}" and not url.path.strip("/")
    return url.scheme in SMTP_SCHEMES and is_whole


def _is_sender(text: str) -> bool:
    name, address = parseaddr(text)
    is_address = re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address) is not None
    return not text or (is_address and "\n" not in name)


def _is_origin(text: str) -> bool:
    url = urlsplit(text)
    return url.scheme in {"http", "https"} and text == f"{url.scheme}://{url.netloc}" != "://"


def _is_target(text: str) -> bool:
    url = urlsplit(text)
    return url.scheme in {"http", "https"} and bool(url.hostname) and "@" not in url.netloc


def _is_signing_secret(text: str) -> bool:
    prefix, secret = text[:6], text[6:]
    return prefix == "whsec_" and bool(b64decode(secret, validate=True))


def _is_host(text: str) -> bool:
    return re.fullmatch(r"[^\s/:@*]+\.[^\s/:@*]+|localhost", text) is not None


def _is_listen(text: str) -> bool:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):(\d{1,5})", text)
    return match is not None and int(match[2]) < PORTS


# TOML and JSON have lists; a frozen value keeps them as tuples.
LIST: Final = Strict(strict=False)
# What is never shown, neither by ``repr`` nor in an error.
SECRET: Final = Field(repr=False)

TEXT: Final = Allowed("a text")
BOOLEAN: Final = Allowed("true or false")
NOT_EMPTY: Final = Allowed("a text that is not empty", MinLen(1))
PORT: Final = Allowed("a port from 0 to 65535 (0 takes any free one)", Ge(0), Lt(PORTS))
SECONDS: Final = whole(1, YEAR_S, "seconds")
WEEK: Final = whole(1, 7 * DAY_S, "seconds")
SHARE: Final = Allowed("a number from 0 to 1", Ge(0), Le(1))
RATE: Final = Allowed(f"a number above 0 up to {FASTEST}", Gt(0), Le(FASTEST))
ADDRESSES: Final = Allowed(
    "host:port, or several of them with commas between", Predicate(_are_addresses)
)
REDIS: Final = Allowed(
    f"a URL with a host and one of the schemes {', '.join(REDIS_SCHEMES)}", Predicate(_is_redis)
)
# The group is also the prefix of the Redis keys, where a brace would move the shard's hash tag.
GROUP: Final = Allowed(
    "1 to 200 letters, digits, dots, dashes and underscores", Predicate(_is_plain)
)
CLOCK: Final = Allowed(
    "a time of day such as 21:00",
    Predicate(lambda text: re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text) is not None),
)
ZONE: Final = Allowed(
    "an IANA time zone such as Europe/Berlin", Predicate(lambda text: text in available_timezones())
)
WEB: Final = Allowed("an http:// or https:// URL without a login, or empty", Predicate(_is_web))
SMTP: Final = Allowed(
    f"scheme://host:port, the scheme one of {', '.join(SMTP_SCHEMES)}", Predicate(_is_smtp)
)
SENDER: Final = Allowed(
    'an address such as "Tea Shop <hello@shop.example>", or empty', Predicate(_is_sender)
)
CURRENCY: Final = Allowed(
    "an ISO 4217 code such as EUR, or empty",
    Predicate(lambda code: re.fullmatch("([A-Z]{3})?", code) is not None),
)
HOSTS: Final = Allowed(
    "a list of host names such as cdn.shop.example",
    LIST,
    Predicate(lambda hosts: all(map(_is_host, hosts))),
)
LISTEN: Final = Allowed("host:port (port 0 takes any free one)", Predicate(_is_listen))
# Parts of the lists of tables; the words of the whole list are what people see.
NAME: Final = Allowed("1 to 64 letters, digits, dots, dashes and underscores", Predicate(_is_name))
TENANT: Final = Allowed("a text of 1 to 64 characters", MinLen(1), MaxLen(64))
PART: Final = Allowed("a text of 1 to 512 characters", MinLen(1), MaxLen(512))
ORIGIN: Final = Allowed("an origin such as https://shop.example", Predicate(_is_origin))
TARGET: Final = Allowed("an http:// or https:// URL without a login", Predicate(_is_target))
SIGNING_SECRET: Final = Allowed("whsec_ and base64", Predicate(_is_signing_secret))
