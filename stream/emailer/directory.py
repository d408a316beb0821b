"""Who a visitor is: asked of the shop right before a mail, by one of three ways.

The one rule: what is found is returned and kept nowhere; an error never quotes it.
"""

import asyncio
import csv
from email.errors import HeaderParseError
from email.headerregistry import Address
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Struct
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from stream.domain.visitor import VisitorKey
from stream.errors import UsageError

ANSWER_WITHIN_S: Final = 5.0
COLUMNS: Final = ("visitor", "email")


class Recipient(Struct, frozen=True):
    """Somebody who may be written to; locale in BCP 47, zone of the IANA's."""

    email: str
    name: str | None = None
    locale: str | None = None
    timezone: str | None = None

    def __repr__(self) -> str:
        return "Recipient(...)"


class Unavailable(Exception):  # noqa: N818 - the directory's condition
    """The directory does not answer; ``str`` of it says why, and names nobody."""


class Directory(Protocol):
    """Where the shop keeps its customers."""

    async def find(self, who: VisitorKey) -> Recipient | None:
        """Return who that is; None where the shop knows nobody, or no address that can be used.

        Raises
        ------
        Unavailable
            It does not answer; asking later may help.
        """
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


class CsvDirectory:
    """A file with a head: visitor, email, and where known name, locale, timezone and tenant.

    It is read anew whenever it has been written.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read_at = -1
        self._rows: dict[VisitorKey, dict[str, str]] = {}

    async def find(self, who: VisitorKey) -> Recipient | None:
        """Implements ``Directory.find``."""
        try:
            await asyncio.to_thread(self._refresh)
        except (OSError, ValueError) as error:
            raise Unavailable(f"{self._file}: {type(error).__name__}") from None
        row = self._rows.get(who)
        return recipient(row) if row else None

    async def close(self) -> None:
        """Implements ``Directory.close``."""

    def _refresh(self) -> None:
        written_at = self._file.stat().st_mtime_ns
        if written_at == self._read_at:
            return
        with self._file.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                raise ValueError(f"no columns {COLUMNS}")
            self._rows = {
                VisitorKey(row.get("tenant") or "default", row["visitor"]): row for row in rows
            }
        self._read_at = written_at


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
        except (SQLAlchemyError, TimeoutError) as error:
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
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            raise Unavailable(f"the shop's directory: {type(error).__name__}") from None
        return recipient(found) if isinstance(found, dict) else None

    async def close(self) -> None:
        """Implements ``Directory.close``."""
        if self._session is not None:
            await self._session.close()


def recipient(row: dict[str, Any]) -> Recipient | None:
    """Return the recipient that a row tells of; None where its address cannot be written to.

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
        Address(addr_spec=found.email)
    except (msgspec.ValidationError, HeaderParseError, ValueError, IndexError):
        return None
    return found


def directory_of(where: str, query: str, token: str) -> Directory:
    """Return the directory that the settings name."""
    if where.startswith(("http://", "https://")):
        return HttpDirectory(where, token)
    if "://" in where:
        return SqlDirectory(where, query)
    return CsvDirectory(Path(where))
