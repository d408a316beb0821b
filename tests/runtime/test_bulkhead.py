"""An unforeseen exception stays with its unit; the process ends only if different units fail."""

import asyncio
import logging
import os
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry

from stream.errors import CartwakeError
from stream.runtime import bulkhead as module
from stream.runtime.bulkhead import Bulkhead, DefectCounter, TooManyDefects, UnitDefect
from stream.runtime.failpoint import VARIABLE
from tests.rig.clocks import steady
from tests.rig.processes import REPOSITORY

SECRET = "zoe.4711@shop.example"
WAITS_S = (1.0, 5.0)


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def bulkhead(registry):
    defects = DefectCounter(registry, "emailer")
    return Bulkhead("delivery", defects, waits_s=WAITS_S, different_units=3)


def failed(bulkhead, key, error=None):
    with bulkhead.guard(key) as guarded:
        raise error or AttributeError(SECRET)
    return guarded.defect


def went_well(bulkhead, key):
    with bulkhead.guard(key) as guarded:
        pass
    return guarded.defect is None


def test_a_unit_that_fails_is_tried_again_later_each_time_and_given_up_after_its_last_try(bulkhead):
    tries = [failed(bulkhead, "a") for _ in range(3)]
    assert tries == [UnitDefect(1, 1.0), UnitDefect(2, 5.0), UnitDefect(3, None)]


@pytest.mark.parametrize("how", ["went_well", "forgotten", "given_up"])
def test_the_tries_of_a_unit_are_counted_anew_once_it_is_settled(bulkhead, how):
    failed(bulkhead, "a")
    if how == "went_well":
        assert went_well(bulkhead, "a")
    elif how == "forgotten":
        bulkhead.forget("a")
    else:
        failed(bulkhead, "a")
        failed(bulkhead, "a")
    assert failed(bulkhead, "a") == UnitDefect(1, 1.0)


def test_one_unit_that_fails_again_and_again_never_ends_the_process(bulkhead):
    assert all(failed(bulkhead, "a") for _ in range(50))


def test_different_units_that_fail_in_a_row_end_the_process(bulkhead):
    failed(bulkhead, "a")
    failed(bulkhead, "b")
    with pytest.raises(TooManyDefects):
        failed(bulkhead, "c")


def test_a_unit_that_goes_well_between_them_shows_that_the_defect_is_in_their_data(bulkhead):
    for key in ("a", "b", "c", "d"):
        failed(bulkhead, key)
        assert went_well(bulkhead, "good")


def test_where_strangers_choose_the_units_no_number_of_them_ends_the_process(registry):
    bulkhead = Bulkhead("event", DefectCounter(registry, "edge"), waits_s=(), different_units=None)
    assert {failed(bulkhead, number) for number in range(100)} == {UnitDefect(1, None)}


@pytest.mark.parametrize(
    "error",
    [MemoryError(), asyncio.CancelledError(), KeyboardInterrupt(), CartwakeError("settings")],
)
def test_what_is_no_defect_of_one_unit_passes(bulkhead, registry, error):
    with pytest.raises(type(error)):
        failed(bulkhead, "a", error)
    assert registry.get_sample_value("cartwake_defects_total") is None


def test_a_defect_is_counted_and_logged_by_type_and_place_and_never_by_content(
    bulkhead, registry, caplog
):
    with caplog.at_level(logging.ERROR):
        failed(bulkhead, SECRET)
    labels = {"program": "emailer", "unit": "delivery"}
    assert registry.get_sample_value("cartwake_defects_total", labels) == 1
    assert "AttributeError in one delivery, try 1 of 3; it is put aside" in caplog.text
    assert "test_bulkhead.py" in caplog.text
    assert SECRET not in caplog.text


def test_the_same_defect_is_counted_each_time_and_logged_once_in_a_while(
    bulkhead, registry, caplog, monkeypatch
):
    clock = steady(monkeypatch, module)
    for number in range(3):
        failed(bulkhead, "a")
        clock.now_s += module.LOG_EVERY_S / 2
        assert caplog.text.count("AttributeError in one delivery") == 1 + number // 2
    labels = {"program": "emailer", "unit": "delivery"}
    assert registry.get_sample_value("cartwake_defects_total", labels) == 3


@pytest.mark.parametrize(
    ("armed", "printed"),
    [
        (None, "a: None, b: None"),
        ("delivery:b:raise", "a: None, b: 1"),
        ("delivery:shop:b:raise", "a: None, b: None"),
        ("event:b:raise", "a: None, b: None"),
    ],
)
def test_a_failpoint_makes_one_unit_fail_and_no_other(armed, printed):
    program = """
from prometheus_client import CollectorRegistry
from stream.runtime.bulkhead import Bulkhead, DefectCounter
from stream.runtime.failpoint import raising
bulkhead = Bulkhead("delivery", DefectCounter(CollectorRegistry(), "emailer"))
found = []
for name in "ab":
    with bulkhead.guard(name) as guarded:
        raising("delivery", name)
    found.append(f"{name}: {guarded.defect and guarded.defect.tries}")
print(", ".join(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=os.environ | ({VARIABLE: armed} if armed else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == printed
