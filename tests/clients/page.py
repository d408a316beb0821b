"""docs/clients.md, made of what the tests in this folder have run.

``python -m tests.clients.page`` writes it from the rows of the last run (``make clients``).
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from tests.clients.installed import FOLDER
from tests.clients.programs import Example
from tests.rig.processes import REPOSITORY

PAGE: Final = REPOSITORY / "docs" / "clients.md"
ROWS: Final = FOLDER / "rows"
HEAD: Final = """# Clients

Clients of other projects, as they are published, that the tests of Cartwake run against it. This
page is generated from those runs by `make clients`: the versions are the installed ones, the events
are those found in Kafka (or what a consumer or a tool has read), and each example is the text that
ran.

The address `http://localhost:8080` stands for your edge, `trial-server` for a server key and
`trial-page` for a browser key, `trial-vendor-page` for one with `vendor_ids = true`;
[Connect a shop](guides/storefront.md) says where they come from.
"""


class Row(msgspec.Struct, frozen=True):
    """What one client did. ``arrived`` are types of canonical events, or what a consumer read.

    Without a package the test posts what a vendor's server posts.
    """

    name: str
    package: str | None
    version: str | None
    arrived: tuple[str, ...]
    does: str
    limits: str
    example: str | None = None

    @property
    def anchor(self) -> str:
        """Return the name of its heading in links."""
        kept = "".join(letter for letter in self.name.lower() if letter.isalnum() or letter in "- ")
        return kept.replace(" ", "-")

    def line(self) -> str:
        """Return its line of the table."""
        arrived = ", ".join(f"`{kind}`" for kind in sorted(set(self.arrived)))
        version = f"`{self.package}` {self.version}" if self.package else "its bodies alone"
        return f"| [{self.name}](#{self.anchor}) | {version} | {arrived} |"

    def section(self) -> str:
        """Return what it does, what does not arrive, and its example, under a heading."""
        lines = [f"## {self.name}", "", self.does]
        if self.limits:
            lines += ["", f"What does not arrive: {self.limits}"]
        if self.example:
            shown = Example(self.example)
            lines += ["", f"```{shown.language}", shown.shown, "```"]
        return "\n".join([*lines, ""])


def page(rows: Iterable[Row]) -> str:
    """Return docs/clients.md."""
    ordered = sorted(rows, key=lambda row: row.name)
    table = ["| client | version | what arrives |", "|---|---|---|"]
    table += [*(row.line() for row in ordered)]
    return "\n".join([HEAD, *table, "", *(row.section() for row in ordered)])


def keep(row: Row) -> None:
    """Keep a row for the page that is written after the run."""
    ROWS.mkdir(parents=True, exist_ok=True)
    (ROWS / f"{row.anchor}.json").write_bytes(msgspec.json.encode(row))


def kept() -> list[Row]:
    """Return the rows that were kept."""
    return [msgspec.json.decode(file.read_bytes(), type=Row) for file in ROWS.glob("*.json")]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(kept()))
