"""The guides' fenced blocks, as whoever copies them has them.

The one rule: nothing is changed but addresses and how long one waits, and each change finds what
it is for.
"""

import re
from typing import NamedTuple

from tests.rig.processes import REPOSITORY

FOLDER = REPOSITORY / "docs" / "guides"
HEREDOC = re.compile(r"^cat (>>?) (\S+) <<'END'\n(.*?)^END$", re.DOTALL | re.MULTILINE)
VOLATILE = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "MOMENT"),
    (r"[0-9a-f]{8,}", "ID"),
    (r"\d+(\.\d+)?", "N"),
    (r"\s+", " "),
)


class Block(NamedTuple):
    """A fenced block, its language, and the heading that it stands under."""

    language: str
    text: str
    heading: str


def blocks(guide: str, language: str | None = None, heading: str | None = None) -> list[Block]:
    """Return the blocks of a guide, those of a language or under a heading alone."""
    text = (FOLDER / f"{guide}.md").read_text()
    found = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        title = section.partition("\n")[0]
        for kind, body in re.findall(r"^```(\w+)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE):
            if language in (None, kind) and heading in (None, title):
                found.append(Block(kind, body, title))
    return found


def written(guide: str) -> list[tuple[str, bool, str]]:
    """Return the files that a guide's shell writes: name, whether it is added to, and text."""
    return [
        (name, how == ">>", text)
        for block in blocks(guide, "sh")
        for how, name, text in HEREDOC.findall(block.text)
    ]


def alike(line: str) -> str:
    """Return a line of output without what is another each time."""
    for pattern, name in VOLATILE:
        line = re.sub(pattern, name, line)
    return line.strip()


def replaced(text: str, changes: dict[str, str]) -> str:
    """Return the text with other addresses and times.

    Raises
    ------
    LookupError
        There is nothing to change.
    """
    for old, new in changes.items():
        if old not in text:
            raise LookupError(f"{old} is not there")
        text = text.replace(old, new)
    return text
