"""The customer directory: who a visitor is, asked of the shop right before a mail.

What is found is returned and stored nowhere, and errors never quote it. A directory that is in
doubt is unavailable: "no address" is final, so it must not follow from a broken answer.
"""

import asyncio
import csv
import re
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from stream.domain.visitor import VisitorKey
from stream.emailer.address import deliverable
from stream.errors import UsageError

ANSWER_WITHIN_S: Final = 5.0
COLUMNS: Final = ("visitor", "email")
# A file that has changed since may still be being written.
UNCHANGED_FOR_S: Final = 2.0
AGAIN_AFTER_S: Final = 10.0
MOST_NAME_CHARACTERS: Final = 100
# Line breaks and control characters, which no name and no address contains.
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
DOT_SEGMENTS: Final = frozenset({".", ".."})
# What a body raises that is no JSON: not UTF-8, or nested without end.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Recipient(Struct, frozen=True):
    """A customer with an address; locale in BCP 47, zone of the IANA's database."""

    email: str
    name: str | None = None
    locale: str | None = None
    timezone: str | None = None

    def __repr__(self) -> str:
        return "Recipient(...)"


class Unavailable(Exception):  # noqa: N818 - the directory's condition
    """The directory does not answer, or not reliably; its text says why, and names nobody."""

    def __init__(self, why: str, again_after_s: float = AGAIN_AFTER_S) -> None:
        super().__init__(why)
        self.again_after_s = again_after_s


class Directory(Protocol):
    """Where the shop keeps its customers."""

    async def find(self, who: VisitorKey) -> Recipient | None:
        """Return the customer; None if the shop knows none, or no address that mails can go to.

        Raises
        ------
        Unavailable
            It does not answer, or its answer is in doubt; asking later may help.
        """
        ...

    async def close(self) -> None:
        """Release its connections."""
        ...


class Written(NamedTuple):
    """Which version of a file this is."""

    at_ns: int
    size: int
    inode: int


class CsvDirectory:
    """A file with a header: visitor, email, and if known name, locale, timezone and tenant.

    It is read again after each change, once it has been unchanged for ``UNCHANGED_FOR_S``. Until
    then customers of the previous version are found, and no visitor counts as unknown.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read: Written | None = None
        self._rows: dict[VisitorKey, dict[str, str]] = {}

    async def find(self, who: VisitorKey) -> Recipient | None:
        """Implements ``Directory.find``."""
        try:
            is_current = await asyncio.to_thread(self._refresh)
        except (OSError, ValueError, csv.Error) as error:
            raise Unavailable(f"{self._file}: {type(error).__name__}") from None
        row = self._rows.get(who)
        if row is None and not is_current:
            raise Unavailable(f"{self._file} has just been written", UNCHANGED_FOR_S)
        return recipient(row) if row else None

    async def close(self) -> None:
        """Implements ``Directory.close``."""

    def _refresh(self) -> bool:
        """Read the file if it has changed; return whether what is known is of its last version."""
        written = self._written()
        if written == self._read:
            return True
        if time.time_ns() - written.at_ns < UNCHANGED_FOR_S * 1e9:
            return False
        with self._file.open(newline="", encoding="utf-8-sig") as file:
            rows = dict(_rows(csv.reader(file, strict=True)))
        if self._written() != written:
            return False
        self._rows, self._read = rows, written
        return True

    def _written(self) -> Written:
        found = self._file.stat()
        return Written(found.st_mtime_ns, found.st_size, found.st_ino)


def _rows(lines: Iterator[list[str]]) -> Iterator[tuple[VisitorKey, dict[str, str]]]:
    """Yield the rows of a file that is whole.

    Raises
    ------
    ValueError, csv.Error
        Something in it is not as it should be: a quote, the number of fields, a field of two lines.
    """
    head = next(lines, [])
    if not set(COLUMNS) <= set(head):
        raise ValueError(f"no columns {COLUMNS}")
    for line in lines:
        if len(line) != len(head) or any(CONTROL.search(field) for field in line):
            raise ValueError("a line that is not like the header")
        row = dict(zip(head, line, strict=True))
        yield VisitorKey(row.get("tenant") or "default", row["visitor"]), row


class SqlDirectory:
    """A query with ``:tenant`` and ``:visitor`` whose columns are named as the file's are."""

    def __init__(self, url: str, query: str) -> None:
        self._query = text(query)
        try:
            self._engine = create_engine(url, pool_pre_ping=True)
        except (SQLAlchemyError, ImportError) as error:
            raise UsageError(
                f"emailer.directory: no database can be asked by it: {type(error).__name__};"
                " is the driver that it names installed?"
            ) from None

    async def find(self, who: VisitorKey) -> Recipient | None:
        """Implements ``Directory.find``."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                row = await asyncio.to_thread(self._ask, who)
        except (SQLAlchemyError, TimeoutError, UnicodeError) as error:
            raise Unavailable(f"the database: {type(error).__name__}") from None
        return recipient(row) if row else None

    async def close(self) -> None:
        """Implements ``Directory.close``."""
        self._engine.dispose()

    def _ask(self, who: VisitorKey) -> dict[str, Any] | None:
        with self._engine.connect() as connection:
            found = connection.execute(self._query, who._asdict()).mappings().first()
            return dict(found) if found else None


class HttpDirectory:
    """An address with ``{tenant}`` and ``{visitor}`` that answers a JSON object, or 404."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def find(self, who: VisitorKey) -> Recipient | None:
        """Implements ``Directory.find``."""
        # As a part of a path these lead elsewhere, however they are encoded.
        if DOT_SEGMENTS & {who.tenant, who.visitor}:
            return None
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers, timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
            )
        url = self._url.format(tenant=quote(who.tenant, ""), visitor=quote(who.visitor, ""))
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status == HTTPStatus.NOT_FOUND:
                    return None
                if answer.status != HTTPStatus.OK:
                    raise Unavailable(f"the shop's directory answers {answer.status}")
                found = msgspec.json.decode(await answer.read())
        except (aiohttp.ClientError, TimeoutError, *UNREADABLE) as error:
            raise Unavailable(f"the shop's directory: {type(error).__name__}") from None
        if not isinstance(found, dict):
            raise Unavailable("the shop's directory answers something else than an object")
        return recipient(found)

    async def close(self) -> None:
        """Implements ``Directory.close``."""
        if self._session is not None:
            await self._session.close()


def recipient(row: dict[str, Any]) -> Recipient | None:
    """Return the recipient of a row; None if mails cannot go to its address.

    Examples
    --------
    >>> recipient({"email": "a@shop.example", "locale": ""}).locale is None
    True
    >>> recipient({"email": "a@shop.example, b@shop.example"}) is None
    True
    """
    known = {name: row.get(name) or None for name in ("name", "locale", "timezone")}
    try:
        found = msgspec.convert({"email": row.get("email"), **known}, Recipient)
    except msgspec.ValidationError:
        return None
    email = deliverable(found.email)
    return None if email is None else replace(found, email=email, name=_one_line(found.name))


def _one_line(name: str | None) -> str | None:
    """Return a name fit for a greeting; None if it is no name."""
    if name is None or len(name) > MOST_NAME_CHARACTERS or CONTROL.search(name):
        return None
    return name.strip() or None


def directory_of(where: str, query: str, token: str) -> Directory:
    """Return the directory that the settings name.

    Raises
    ------
    UsageError
        There is no such file, no driver for the database, or the URL names something else than
        tenant and visitor.
    """
    if where.startswith(("http://", "https://")):
        try:
            where.format(tenant="", visitor="")
        except (LookupError, ValueError, AttributeError):
            raise UsageError(
                "emailer.directory: a URL takes {tenant} and {visitor}, and no other braces"
            ) from None
        return HttpDirectory(where, token)
    if "://" in where:
        return SqlDirectory(where, query)
    if not Path(where).is_file():
        raise UsageError(f"emailer.directory: {where} is not a file: name the customers' file")
    return CsvDirectory(Path(where))
