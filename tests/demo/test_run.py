"""The demo as a command: what it prints, how it ends, and that it leaves nothing behind."""

import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

from stream import demo
from stream.config.loading import load
from stream.config.settings import (
    SECTIONS,
    HoldoutSettings,
    Settings,
    WorkerSettings,
)
from stream.demo import worker_environment
from stream.demo.tally import Tally
from stream.errors import CartwakeError
from tests.demo.samples import page
from tests.rig.processes import Program, cartwake_command, cartwake_environment, wait_until

READY = "all is ready"


@pytest.fixture
def command(tmp_path):
    """Return how to start a demo whose files and processes are told apart by a folder."""
    folder = tmp_path / "demo"
    folder.mkdir()
    programs = []

    def started(*arguments: str) -> Program:
        environment = cartwake_environment({"TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"})
        log = tmp_path / "output"
        program = Program(cartwake_command("demo", *arguments), log, environment)
        program.start()
        programs.append(program)
        return program

    yield started
    for program in programs:
        program.kill()


def leftovers(folder: Path) -> list[str]:
    """Return the files in the demo's folder, and the processes that were given it."""
    files = [str(path) for path in (folder / "demo").iterdir()]
    mark = f"TMPDIR={folder / 'demo'}".encode()
    processes = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                processes.append((process / "cmdline").read_bytes().decode())
        except OSError:  # somebody else's, or gone
            continue
    return files + processes


@pytest.mark.redis
def test_both_kinds_of_trigger_come_and_the_events_add_up(command, tmp_path):
    program = command("--seconds", "15", "--seed", "7")
    assert program.wait(120) == 0, program.output
    lines = program.output.splitlines()
    assert "\x1b" not in program.output
    assert re.fullmatch(r"a shop to click through: http://127\.0\.0\.1:\d+ .*", lines[0])
    assert any(" s  cart_abandonment  " in line for line in lines)
    assert any(" s  exit_intent       " in line for line in lines)
    summary = lines[lines.index("Summary") :]
    produced = next(line.split()[1] for line in summary if line.startswith("  produced"))
    assert any(line.startswith(f"  events        {produced} = ") for line in summary)
    assert leftovers(tmp_path) == []


@pytest.mark.redis
def test_ctrl_c_ends_it_with_the_summary(command, tmp_path):
    program = command("--seed", "7")
    wait_until(lambda: READY in program.output or not program.running, READY, 90)
    program.signal(signal.SIGINT)
    assert program.wait(60) == 130, program.output
    assert "Summary" in program.output
    assert "Traceback" not in program.output
    assert leftovers(tmp_path) == []


@pytest.mark.redis
@pytest.mark.parametrize("started", range(2, 7))
def test_a_termination_ends_everything_that_was_started_so_far(command, tmp_path, started):
    program = command("--seed", "7")
    wait_until(lambda: len(leftovers(tmp_path)) >= started, "folder, Redis and programs", 90)
    program.signal(signal.SIGTERM)
    assert program.wait(60) == 128 + signal.SIGTERM, program.output
    assert leftovers(tmp_path) == []


@pytest.mark.redis
def test_a_worker_that_dies_is_told_with_the_end_of_its_log(monkeypatch, tmp_path, capsys):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho it cannot go on like this\nexit 70\n")
    broken.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(broken))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(CartwakeError, match="the worker has ended with code 70; its log: ") as told:
        demo.run(seconds=1, rate=None, seed=7, settings=Settings())
    assert "worker: it cannot go on like this" in capsys.readouterr().out
    log = Path(str(told.value).rpartition(": ")[2])
    assert log.read_text() == "it cannot go on like this\n"


def test_what_is_not_installed_leaves_no_folder_behind(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.metadata.files", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(CartwakeError, match=r"cartwake\[demo\]"):
        demo.run(seconds=1, rate=None, seed=7, settings=Settings())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("produced", "counted"), [(3, {"applied": 2}), (2, {"applied": 1, "mislaid": 1})]
)
def test_events_that_are_unaccounted_for_are_an_error_after_the_summary(produced, counted, capsys):
    tally = Tally()
    tally.read_page(page(**counted))
    with pytest.raises(CartwakeError, match=f"{produced} events were produced, but"):
        demo._conclude(tally, produced, 1.0, 7)
    assert "Summary" in capsys.readouterr().out


def test_the_worker_is_told_of_short_times_and_of_our_servers():
    environment = worker_environment(Settings(), "127.0.0.1:1234", "redis://127.0.0.1:5678/0")
    settings = load(None, environment)
    assert settings.kafka.bootstrap == "127.0.0.1:1234"
    assert settings.redis.url == "redis://127.0.0.1:5678/0"
    assert settings.cart_abandonment.idle_s < 5
    assert settings.session.idle_s < 10
    assert settings.worker.clock == "live"
    assert settings.holdout == HoldoutSettings()


def test_thresholds_that_somebody_has_set_are_kept():
    chosen = Settings(
        cart_abandonment=SECTIONS["cart_abandonment"](idle_s=5, steps_s=(0, 60)),
        holdout=HoldoutSettings(fraction=0.5),
        worker=WorkerSettings(log_level="debug", metrics_port=1, clock="records"),
    )
    told = load(None, worker_environment(chosen, "localhost:1", "redis://localhost:1/0"))
    assert told.cart_abandonment.idle_s == 5
    assert told.cart_abandonment.steps_s == (0, 60)
    assert told.holdout.fraction == 0.5
    assert told.worker == WorkerSettings(log_level="debug")
