"""Words that a stranger may have chosen, such as product names, made fit for a shop's mail.

They become one bounded line that shows what it holds, and that leads nowhere: a public key lets
anybody send a product whose name is a message of its own. Addresses stay if they are the shop's.
"""

import re
import unicodedata
from collections.abc import Set as AbstractSet
from typing import Final
from urllib.parse import quote, urlsplit

import idna
from msgspec.structs import replace

from stream.domain.events import Line, Product
from stream.domain.records import CartSnapshot

MOST_CHARACTERS: Final = 120
# Joiners that scripts and emoji need; all other format characters hide or turn text around.
JOINERS: Final = "\u200c\u200d"
SPACES: Final = frozenset({"Zs", "Zl", "Zp"})
# Control, format, surrogate and private characters: XML refuses some, none can be read.
UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co"})
# What mail programs make a link of. A bare host's dot is also part of names, such as Dr.Martens.
LINK: Final = re.compile(
    r"\S*://\S*"
    r"|\b(?:mailto|tel|sms|javascript|data):\S+"
    r"|\S+@\S+"
    r"|\bwww\.\S*"
    r"|\S+\.[^\W\d_]{2,}(?::\d+)?[/?#]\S*",
    re.IGNORECASE,
)
HOST: Final = re.compile(r"(?<=\w)\.(?=[^\W\d_]{2})")
# No Latin letter needs a joiner, which would hide a link from these patterns.
IDLE_JOINER: Final = re.compile(f"(?<=[ -~])[{JOINERS}]|[{JOINERS}](?=[ -~])")
# What a URL may contain as it is; "%" too: it may be encoded already.
URL_CHARACTERS: Final = "!#$%&'()*+,/:;=?@[]~"


def one_line(text: str, most: int = MOST_CHARACTERS) -> str:
    r"""Return a text as one line without links and unseen characters, at most so long.

    Examples
    --------
    >>> one_line("Mug\x0bblue\n\nSee https://evil.example/no  or evil.example")
    'Mug blue See or evil. example'
    >>> one_line("a" * 200, 5)
    'aaaa…'
    """
    seen = IDLE_JOINER.sub("", "".join(map(_seen, text)))
    line = " ".join(HOST.sub(". ", LINK.sub(" ", seen)).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _seen(char: str) -> str:
    category = unicodedata.category(char)
    if char.isspace() or category in SPACES or category == "Cc":
        return " "
    if char in JOINERS:
        return char
    if category in UNSEEN or ord(char) & 0xFFFE == 0xFFFE:  # noqa: PLR2004 - no characters
        return ""
    # Mail programs take other forms of a dot for one, too.
    return "." if unicodedata.normalize("NFKC", char) in {".", "。"} else char


def shops_url(url: str | None, hosts: AbstractSet[str]) -> str | None:
    """Return an absolute ``https`` URL at one of these hosts; None for any other.

    Examples
    --------
    >>> shops_url("https://cdn.shop.example/a b.jpg", {"cdn.shop.example"})
    'https://cdn.shop.example/a%20b.jpg'
    >>> shops_url("//cdn.shop.example/a.jpg", {"cdn.shop.example"}) is None
    True
    """
    try:
        parts = urlsplit(url or "")
        # Browsers take a backslash for a slash, and a login for a host that people read first.
        if parts.scheme != "https" or "\\" in parts.netloc or "@" in parts.netloc:
            return None
        host = ascii_host(parts.hostname or "")
        if host is None or host not in hosts:
            return None
        netloc = f"{host}:{parts.port}" if parts.port else host
    except ValueError:
        return None
    return quote(parts._replace(netloc=netloc).geturl(), safe=URL_CHARACTERS, errors="replace")


def ascii_host(host: str) -> str | None:
    """Return a host name as A-labels, which every program takes; None if it is none.

    Examples
    --------
    >>> ascii_host("Bücher.example")
    'xn--bcher-kva.example'
    """
    try:
        return host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()
    except UnicodeError:
        return None


def shown_cart(
    cart: CartSnapshot, pages: AbstractSet[str], pictures: AbstractSet[str]
) -> CartSnapshot:
    """Return a cart as a mail may show it, with links to these hosts alone."""
    lines = [Line(_shown(line.product, pages, pictures), line.quantity) for line in cart.lines]
    return replace(cart, lines=lines)


def _shown(product: Product, pages: AbstractSet[str], pictures: AbstractSet[str]) -> Product:
    words = {
        name: one_line(value)
        for name in ("id", "variant", "name", "category", "brand")
        if (value := getattr(product, name)) is not None
    }
    return replace(
        product,
        **words,
        url=shops_url(product.url, pages),
        image_url=shops_url(product.image_url, pictures),
        tags=None if product.tags is None else [one_line(tag) for tag in product.tags],
    )
