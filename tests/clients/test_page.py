"""docs/clients.md is what the clients of this run did; last in its folder."""

import re
from pathlib import Path

from tests.clients.page import PAGE, page

SOURCES = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))


def test_the_page_is_what_the_clients_did(rows):
    text = PAGE.read_text()
    for row in rows:  # of the whole run, or of what was selected
        assert row.line() in text, "write it anew: make clients"
        assert row.section() in text, "write it anew: make clients"
    if {row.name for row in rows} >= set(names(text)):
        assert text == page(rows), "write it anew: make clients"


def test_every_client_on_the_page_has_a_test():
    assert [name for name in names(PAGE.read_text()) if f'"{name}"' not in SOURCES] == []


def names(text):
    return re.findall(r"^\| \[(.+?)\]\(#", text, re.MULTILINE)
