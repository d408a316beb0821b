"""Each way to ask the shop who a visitor is, by one suite."""

import os
import re
import sqlite3
import time

import pytest
from aiohttp import web

from stream.domain.visitor import VisitorKey
from stream.emailer.directory import (
    UNCHANGED_FOR_S,
    CsvDirectory,
    HttpDirectory,
    Recipient,
    SqlDirectory,
    Unavailable,
    directory_of,
    recipient,
)
from stream.errors import UsageError
from tests.rig.processes import LOOPBACK

ANNA = VisitorKey("tea", "an/na ü")
ROW = {
    "email": "anna@mail.example",
    "name": "Anna, née Ü",
    "locale": "de-AT",
    "timezone": "Europe/Vienna",
}
QUERY = "SELECT email, name, locale, timezone FROM people WHERE shop = :tenant AND id = :visitor"


class Csv:
    def __init__(self, folder):
        self.file = folder / "customers.csv"
        self.file.write_text("visitor,tenant,email,name,locale,timezone,more\n")
        self._written = 1
        os.utime(self.file, ns=(self._written, self._written))

    async def start(self):
        return CsvDirectory(self.file)

    def add(self, who, email="", name="", locale="", timezone=""):
        with self.file.open("a") as file:
            file.write(f'{who.visitor},{who.tenant},{email},"{name}",{locale},{timezone},x\n')
        # Written long ago, and each time at another moment.
        self._written += 1
        os.utime(self.file, ns=(self._written, self._written))

    def take_away(self):
        self.file.unlink()

    async def stop(self):
        pass


class Sql:
    def __init__(self, folder):
        self.file = folder / "shop.db"
        with sqlite3.connect(self.file) as database:
            database.execute("CREATE TABLE people (shop, id, email, name, locale, timezone)")

    async def start(self):
        return SqlDirectory(f"sqlite:///{self.file}", QUERY)

    def add(self, who, **row):
        values = [who.tenant, who.visitor, *(row.get(name) for name in ROW)]
        with sqlite3.connect(self.file) as database:
            database.execute("INSERT INTO people VALUES (?, ?, ?, ?, ?, ?)", values)

    def take_away(self):
        with sqlite3.connect(self.file) as database:
            database.execute("DROP TABLE people")

    async def stop(self):
        pass


class Http:
    def __init__(self, _):
        self.people, self.is_away, self.heard, self.body = {}, False, [], None

    async def start(self):
        app = web.Application()
        app.router.add_get("/customers/{tenant}/{visitor}", self.answer)
        app.router.add_get("/{elsewhere:.*}", self.answer_elsewhere)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, LOOPBACK, 0)
        await site.start()
        port = self.runner.addresses[0][1]
        url = f"http://{LOOPBACK}:{port}/customers/{{tenant}}/{{visitor}}"
        return HttpDirectory(url, "a token")

    async def answer(self, request):
        self.heard.append(request.headers.get("Authorization"))
        if self.is_away:
            raise web.HTTPBadGateway
        if self.body is not None:
            return web.Response(body=self.body)
        found = self.people.get(
            VisitorKey(request.match_info["tenant"], request.match_info["visitor"])
        )
        return web.json_response(found) if found else web.Response(status=404)

    async def answer_elsewhere(self, request):
        self.heard.append(request.path)
        raise web.HTTPNotFound

    def add(self, who, **row):
        self.people[who] = row

    def take_away(self):
        self.is_away = True

    async def stop(self):
        await self.runner.cleanup()


@pytest.fixture(params=[Csv, Sql, Http])
def shop(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
async def directory(shop):
    directory = await shop.start()
    yield directory
    await directory.close()
    await shop.stop()


async def test_it_says_who_that_is(shop, directory):
    shop.add(ANNA, **ROW)
    assert await directory.find(ANNA) == Recipient(**ROW)


async def test_it_knows_nobody_who_is_not_in_it(shop, directory):
    shop.add(ANNA, **ROW)
    assert await directory.find(VisitorKey("tea", "ben")) is None
    assert await directory.find(VisitorKey("bike", ANNA.visitor)) is None
    assert await directory.find(VisitorKey("tea", "' OR 1=1 --")) is None


async def test_what_it_does_not_know_of_somebody_is_nothing(shop, directory):
    shop.add(ANNA, email="anna@mail.example")
    assert await directory.find(ANNA) == Recipient("anna@mail.example")


async def test_whoever_comes_into_it_is_known_at_once(shop, directory):
    assert await directory.find(ANNA) is None
    shop.add(ANNA, **ROW)
    assert await directory.find(ANNA) == Recipient(**ROW)


async def test_where_it_does_not_answer_that_is_said_without_a_name(shop, directory):
    shop.add(ANNA, **ROW)
    shop.take_away()
    with pytest.raises(Unavailable) as away:
        await directory.find(ANNA)
    assert not any(part in str(away.value) for part in (ANNA.visitor, "mail.example", "Anna"))
    assert away.value.__cause__ is None


async def test_http_gets_the_token(tmp_path):
    shop = Http(tmp_path)
    directory = await shop.start()
    await directory.find(ANNA)
    await directory.close()
    await shop.stop()
    assert shop.heard == ["Bearer a token"]


def written(folder, content, age_s=10.0):
    """Return a file that was written so long ago."""
    file = folder / "x.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    at_s = time.time() - age_s
    os.utime(file, (at_s, at_s))
    return file


HEAD = "visitor,email,name,locale,timezone\n"
BEN = VisitorKey("default", "v-2")
OPEN_QUOTE = (
    HEAD
    + 'v-1,anna@shop.example,"Anna,en,Europe/Berlin\n'
    + "v-2,bob@shop.example,Bob,en,Europe/Berlin\n"
)


@pytest.mark.parametrize(
    "content",
    [
        "id,mail\n1,a@b.example\n",
        "",
        OPEN_QUOTE,
        OPEN_QUOTE + 'v-3,cleo@shop.example,"Cleo",en,Europe/Berlin\n',
        HEAD + 'v-2,bob@shop.example,"Bob\nand the next line",en,Europe/Berlin\n',
        HEAD + "v-2,bob@shop.example,Bob\n",
        HEAD + "v-2,bob@shop.example,Bob,en,Europe/Berlin,one more\n",
        HEAD + "v-2,bob@shop.example," + "x" * 140_000 + ",en,Europe/Berlin\n",
        (HEAD + "v-2,bob@shop.example,J\xfcrgen,en,Europe/Berlin\n").encode("latin-1"),
        HEAD + "v-2,bob@shop.example,B\0ob,en,Europe/Berlin\n",
    ],
    ids=[
        *("columns", "empty", "quote", "two quotes", "line break", "few", "many"),
        *("128 KiB", "Latin-1", "NUL"),
    ],
)
async def test_a_file_that_is_in_doubt_is_not_believed(tmp_path, content):
    with pytest.raises(Unavailable, match=r"x\.csv") as away:
        await CsvDirectory(written(tmp_path, content)).find(BEN)
    assert "bob" not in str(away.value)


async def test_a_file_that_has_just_been_written_is_not_read_yet(tmp_path):
    directory = CsvDirectory(written(tmp_path, HEAD + "v-2,bob@shop.example,,,\n", age_s=1))
    with pytest.raises(Unavailable, match="just been written"):
        await directory.find(BEN)


async def test_while_a_file_is_being_written_its_last_version_is_used_and_nobody_is_absent(
    tmp_path,
):
    row = "v-2,bob@shop.example,Bob,,\n"
    directory = CsvDirectory(written(tmp_path, HEAD + row))
    assert (await directory.find(BEN)).name == "Bob"
    assert await directory.find(VisitorKey("default", "v-3")) is None
    written(tmp_path, HEAD, age_s=0.0)
    assert (await directory.find(BEN)).name == "Bob"
    with pytest.raises(Unavailable):
        await directory.find(VisitorKey("default", "v-3"))
    written(tmp_path, HEAD, age_s=UNCHANGED_FOR_S + 1)
    assert await directory.find(BEN) is None


@pytest.mark.parametrize(
    "body",
    [b'{"email": "a@b.example", "name": "J\xfcrgen"}', b"[" * 200_000, b"null", b"[]", b""],
    ids=["Latin-1", "200,000 levels", "null", "array", "empty"],
)
async def test_an_http_answer_that_is_in_doubt_is_not_believed(tmp_path, body):
    shop = Http(tmp_path)
    directory = await shop.start()
    shop.body = body
    with pytest.raises(Unavailable):
        await directory.find(ANNA)
    await directory.close()
    await shop.stop()


@pytest.mark.parametrize(
    ("name", "greeted"),
    [
        ("Anna", "Anna"),
        (" Anna\u00a0K. ", "Anna\u00a0K."),
        ("Anna\nyou have won", None),
        ("Anna\x0b", None),
        ("x" * 101, None),
        ("  ", None),
    ],
)
def test_a_name_is_one_bounded_line(name, greeted):
    assert recipient({"email": "anna@mail.example", "name": name}).name == greeted


@pytest.mark.parametrize(
    "email",
    [
        "",
        None,
        "anna",
        "a@b@c.example",
        "a@mail.example\nBcc: x@y.example",
        "a@b.example, c@d.example",
        7,
        "anna@[shop.example",
        "a@[b;c",
        "a@[127.0.0.1]",
        "=?ut,f-8?q?a?=@d.example",
        "anna@shop.example\u200b",
        "an\u200bna@shop.example",
        "müller@shop.example",
        "anna@" + "ü" * 100 + ".example",
    ],
)
def test_an_address_that_cannot_be_written_to_is_none(email):
    assert recipient({"email": email}) is None


def test_a_domain_outside_ascii_goes_out_as_its_a_label():
    found = recipient({"email": "anna@bücher.example"})
    assert found.email == "anna@xn--bcher-kva.example"


def test_nobody_is_shown():
    assert "anna" not in repr(Recipient(**ROW)).lower()


def test_settings_name_one_of_the_three(tmp_path):
    assert isinstance(directory_of("https://shop.example/{visitor}", "", ""), HttpDirectory)
    assert isinstance(directory_of("sqlite:///x.db", "SELECT 1", ""), SqlDirectory)
    (tmp_path / "customers.csv").touch()
    assert isinstance(directory_of(str(tmp_path / "customers.csv"), "", ""), CsvDirectory)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("missing.csv", "missing.csv is not a file"),
        ("https://shop.example/{customer}", "takes {tenant} and {visitor}"),
        ("https://shop.example/{}", "takes {tenant} and {visitor}"),
        ("https://shop.example/{visitor", "takes {tenant} and {visitor}"),
    ],
)
def test_a_directory_that_cannot_be_asked_is_refused_at_the_start(where, words):
    with pytest.raises(UsageError, match=r"emailer\.directory: .*" + re.escape(words)):
        directory_of(where, "", "")


@pytest.mark.parametrize("who", [VisitorKey("default", ".."), VisitorKey(".", "anna")])
async def test_no_visitor_leads_elsewhere_in_the_shops_directory(tmp_path, who):
    shop = Http(tmp_path)
    directory = await shop.start()
    assert await directory.find(who) is None
    assert shop.heard == []
    await directory.close()
    await shop.stop()


def test_a_database_without_its_driver_is_refused_at_the_start():
    with pytest.raises(UsageError, match=r"emailer\.directory.*driver") as refused:
        directory_of("mssql+pymssql://user:secret@db/shop", "SELECT 1", "")
    assert "secret" not in str(refused.value)
