"""docs/settings.md: generated, and complete."""

import json
import re
from pathlib import Path

import pytest

from stream.config.loading import load
from stream.config.reference import page
from stream.config.settings import KNOWN

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
CELL = r" (.*?) \|"
ROWS = {
    row[0].strip("`"): row[1:]
    for row in re.findall(rf"^\|{CELL}{CELL}{CELL}{CELL}{CELL}$", page(), re.MULTILINE)
    if "`" in row[0]
}


def test_the_page_is_what_make_settings_writes():
    assert PAGE.read_text() == page()


def test_the_page_has_every_setting_once_and_in_order():
    assert list(ROWS) == list(KNOWN)
    assert page().count("\n| `") == len(KNOWN)


@pytest.mark.parametrize("setting", KNOWN)
def test_a_row_has_default_bounds_meaning_and_variable(setting):
    default, allowed, meaning, variable = ROWS[setting]
    section, name = setting.split(".")
    known = getattr(getattr(load(None, {}), section), name)
    assert default == f"`{json.dumps(known)}`"
    assert allowed
    assert meaning
    text = known if isinstance(known, str) else json.dumps(known)
    assert load(None, {variable.strip("`"): text}) == load(None, {})
