import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import report
from bench.__main__ import PARTS
from bench.results import Run, latencies, percentile, table

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=500)


@given(VALUES, st.sampled_from([50, 99, 99.9, 100]))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values, percent):
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-6
    assert sum(value < found for value in values) < percent / 100 * len(values) + 1e-6


@given(VALUES)
def test_latencies_rise_with_their_percentile(values):
    found = list(latencies(values).values())
    assert found == sorted(found)
    assert found[-1] == max(values)


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "results.jsonl"
    for stamp, rows in {"first": (1.0,), "last": (10.0, 30.0, 20.0)}.items():
        run = Run("peers", "made up", path)
        run._of_run["run"] = f"{stamp} run"
        for repeat, value in enumerate(rows, start=1):
            run.note("cartwake", repeat, {"worker_and_redis_us": value, "missing": 0})
        run.note("other", 1, {"worker_and_redis_us": "not run: no Java"})
    return path


def test_a_table_has_medians_ranges_and_reasons(lines):
    found = report.last_runs(map(json.loads, lines.read_text().splitlines()))["peers"]
    assert table(found).splitlines() == [
        "|  | worker and redis us | missing |",
        "| --- | --- | --- |",
        "| cartwake | 20.0 (10.0-30.0) | 0 |",
        "| other | not run: no Java |  |",
    ]
    assert report.medians(found, "worker_and_redis_us") == {"cartwake": 20.0}


def test_the_page_gets_the_last_run_and_keeps_the_rest(lines, tmp_path):
    page = tmp_path / "page.md"
    around = "# Title\n<!-- drain -->\nold\n<!-- end -->\n<!-- peers -->\n{}<!-- end -->\nrest\n"
    page.write_text(around.format("old\n"))
    assert report.write(lines, page) == ["page.md", "performance-peers.svg"]
    once = page.read_text()
    before, after = around.split("{}")
    assert once.startswith(before)
    assert once.endswith(after)
    assert "last run UTC, commit" in once
    assert "first" not in once
    assert "<svg" in (tmp_path / "performance-peers.svg").read_text()
    report.write(lines, page)
    assert page.read_text() == once


def test_a_part_without_a_place_on_the_page_is_an_error(lines, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("no markers\n")
    with pytest.raises(ValueError, match="no place for peers"):
        report.write(lines, page)


def test_the_page_has_a_place_for_every_part():
    places = re.findall(r"<!-- (\w+) -->\n.*?\n<!-- end -->", report.PAGE.read_text(), re.DOTALL)
    assert sorted(places) == sorted(PARTS)
