import asyncio
import logging
import os
import subprocess
import sys

import pytest

from stream.runtime import fatal as fatal_module
from stream.runtime.fatal import EXIT_CODE, fatal
from tests.rig.processes import REPOSITORY

SECRET = "zoe.4711@shop.example"


@pytest.fixture
def exits(monkeypatch):
    """Return the codes with which the process would have ended."""
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(fatal_module.logging, "shutdown", lambda: None)
    return codes


def test_what_goes_well_goes_on(exits):
    with fatal("trying"):
        pass
    assert exits == []


@pytest.mark.parametrize("error", [ValueError(SECRET), MemoryError(), SystemExit(0)])
def test_anything_unexpected_ends_the_process(exits, error):
    with fatal("trying"):
        raise error
    assert exits == [EXIT_CODE] == [70]


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit])
def test_being_told_to_stop_is_not_unexpected(exits, error):
    with pytest.raises(error), fatal("trying"):
        raise error
    assert exits == []


def test_what_is_expected_passes_and_nothing_else(exits):
    with pytest.raises(KeyError), fatal("trying", but=(KeyError,)):
        raise KeyError
    with fatal("trying", but=(KeyError,)):
        raise IndexError
    assert exits == [EXIT_CODE]


def test_the_log_tells_where_but_not_what_a_record_said(exits, caplog):
    with caplog.at_level(logging.CRITICAL), fatal("reading a record"):
        raise ValueError(SECRET)
    assert "ValueError while reading a record; the process ends" in caplog.text
    assert "test_fatal.py" in caplog.text
    assert SECRET not in caplog.text


def test_the_process_really_ends_whatever_would_catch_or_outlive_it():
    program = """
import threading
from stream.runtime.fatal import fatal
threading.Thread(target=threading.Event().wait).start()
try:
    with fatal("trying"):
        raise ValueError
finally:
    print("went on")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (EXIT_CODE, "")
    assert "ValueError while trying" in done.stderr


def test_on_top_of_a_process_nobody_has_cancelled_it(exits):
    with fatal("serving", but=(KeyError,)):
        raise asyncio.CancelledError
    assert exits == [EXIT_CODE]
