"""The headers of a mail that Python's ``email`` package folds wrongly.

It loses spaces between the encoded words of a folded header (cpython#92081), makes encoded words of
a long URL, and decodes what it is given. Here each header is encoded once, as RFC 2047 has it.
"""

from email.header import Header
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.policy import SMTP, Policy
from email.utils import formataddr, parseaddr
from typing import Any, Final

# A longer word does not fit on a line with the name of its header.
WORD: Final = 60


class PlainHeader(UnstructuredHeader, BaseHeader):
    """A header whose value is what it was given: nothing in it is taken for an encoded word."""

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        """Implements ``UnstructuredHeader.parse``."""
        kwds["parse_tree"], kwds["decoded"] = None, value


class WholeHeader(PlainHeader):
    """A header that stays on its line.

    Mail programs find no URL in encoded words, and RFC 2369 allows none.
    """

    def fold(self, *, policy: Policy) -> str:
        """Return the header as it is sent."""
        return f"{self.name}: {self}{policy.linesep}"


class TextHeader(PlainHeader):
    """A header of words, such as a subject."""

    def fold(self, *, policy: Policy) -> str:
        """Return the header as it is sent."""
        return _line(self.name, _encoded(self.name, str(self), policy), policy)


class SenderHeader(PlainHeader):
    """One mailbox: a name in words, and an address."""

    def fold(self, *, policy: Policy) -> str:
        """Return the header as it is sent."""
        name, address = parseaddr(str(self))
        if name.isascii():
            return _line(self.name, formataddr((name, address)), policy)
        words = _encoded(self.name, name, policy)
        return _line(self.name, f"{words}{policy.linesep} <{address}>", policy)


def _encoded(header: str, text: str, policy: Policy) -> str:
    """Return a text in ASCII, folded into lines; the first has room for the header's name."""
    # What looks like an encoded word must be one, and a long word can only be folded as one.
    is_plain = text.isascii() and "=?" not in text and max(map(len, text.split()), default=0) < WORD
    charset = "us-ascii" if is_plain else "utf-8"
    return Header(text, charset, policy.max_line_length, header).encode(linesep=policy.linesep)


def _line(name: str, value: str, policy: Policy) -> str:
    return f"{name}: {value}{policy.linesep}"


HEADERS: Final = HeaderRegistry()
HEADERS.map_to_type("List-Unsubscribe", WholeHeader)
HEADERS.map_to_type("Subject", TextHeader)
HEADERS.map_to_type("From", SenderHeader)
MAIL: Final = SMTP.clone(header_factory=HEADERS)
