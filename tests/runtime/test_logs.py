"""The log as its readers get it: people on a terminal, programs elsewhere."""

import json
import logging
import os
import pty
import sys
from datetime import UTC, datetime, timedelta

import pytest

from stream.runtime import logs
from tests.rig.processes import (
    Program,
    cartwake_command,
    cartwake_environment,
    free_port,
    run_cartwake,
    wait_until,
)

SECRET = "zoe.4711@shop.example"
BEGIN = """
from stream.runtime import logs; logs.begin()
import logging; log = logging.getLogger('shop')
"""


def lines(form, *speak):
    """Return what a logger with this formatter writes."""
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(form.format(record))
    log = logging.getLogger("stream.edge.somewhere")
    log.addHandler(handler)
    try:
        for one in speak:
            one(log)
    finally:
        log.removeHandler(handler)
    return said


def failing(log):
    try:
        try:
            {}[SECRET]
        except KeyError as error:
            raise ValueError(SECRET) from error
    except ValueError:
        log.exception("a page could not be served")


def test_a_program_gets_one_object_a_line_with_its_time_in_utc():
    (line,) = lines(
        logs.json(),
        lambda log: log.warning("Shard %d\nis stopped", 3, extra={"shard": 3, "offset": 900}),
    )
    told = json.loads(line)
    assert "\n" not in line
    assert told.pop("time").endswith("Z")
    assert datetime.now(UTC) - datetime.fromisoformat(json.loads(line)["time"]) < timedelta(hours=1)
    assert told == {
        "event": "Shard 3\nis stopped",
        "level": "warning",
        "logger": "stream.edge.somewhere",
        "shard": 3,
        "offset": 900,
    }


def test_people_get_the_sentence_alone():
    (line,) = lines(
        logs.text(colours=False), lambda log: log.warning("Shard 3 rests", extra={"shard": 3})
    )
    assert line.split(" ", 1)[1] == "[warning  ] Shard 3 rests [stream.edge.somewhere]"


@pytest.mark.parametrize("form", [logs.json(), logs.text(colours=False), logs.text(colours=True)])
def test_an_exception_is_told_by_kind_and_place_and_not_in_its_own_words(form):
    told = "\n".join(lines(form, failing))
    assert told.index("KeyError") < told.index("ValueError")
    assert "test_logs.py" in told
    assert SECRET not in told


def test_causes_that_go_in_a_circle_are_told_once():
    def circle(log):
        error = ValueError()
        error.__cause__ = RuntimeError()
        error.__cause__.__cause__ = error
        log.error("oh", exc_info=error)

    (line,) = lines(logs.json(), circle)
    assert json.loads(line)["exception"] == "RuntimeError\nValueError"


@pytest.mark.parametrize("form", [logs.json(), logs.text(colours=False)])
def test_only_known_fields_are_written(form):
    extra = {"visitor": SECRET, "color_message": SECRET}
    (line,) = lines(form, lambda log: log.error("refused", extra=extra))
    assert "refused" in line
    assert SECRET not in line


def _said(*, on_terminal, code, level="info", exit_code=0, **environment):
    """Run a program whose standard error is a terminal or a pipe; return what it wrote there."""
    reads, writes = pty.openpty() if on_terminal else os.pipe()
    program = BEGIN.replace("begin()", f"begin({level!r})") + code
    there = cartwake_environment(environment)
    pid = os.posix_spawn(
        sys.executable, [sys.executable, "-c", program], there,
        file_actions=[(os.POSIX_SPAWN_DUP2, writes, 2)],
    )  # fmt: skip
    os.close(writes)
    said = b""
    try:
        while more := os.read(reads, 4096):
            said += more
    except OSError:  # how a terminal says that its other side is closed
        pass
    os.close(reads)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == exit_code
    return said.decode()


def test_a_terminal_gets_text_and_a_pipe_json_unless_somebody_chooses():
    code = "log.info('open')"
    assert "open" in (text := _said(on_terminal=True, code=code))
    assert not text.startswith("{")
    assert json.loads(_said(on_terminal=False, code=code))["event"] == "open"
    assert "\x1b" not in (text := _said(on_terminal=False, code=code, CARTWAKE_LOG="text"))
    assert not text.startswith("{")
    assert json.loads(_said(on_terminal=True, code=code, CARTWAKE_LOG="json"))["level"] == "info"


def test_what_lies_below_the_level_is_not_written():
    said = _said(on_terminal=False, level="warning", code="log.info('low'); log.warning('high')")
    assert [json.loads(line)["event"] for line in said.splitlines()] == ["high"]


def test_a_warning_of_a_library_comes_through_the_same_pipe():
    said = _said(on_terminal=False, code="import warnings; warnings.warn('old', stacklevel=1)")
    (line,) = said.splitlines()
    assert json.loads(line)["logger"] == "py.warnings"


# Five ways past whoever would have caught it: Python and asyncio have words of their own for each.
UNCAUGHT = f"""
import asyncio, threading

class Unclean:
    def __del__(self):
        fail("{SECRET}")

def fail(secret):
    raise ValueError(secret)

async def fail_later():
    fail("{SECRET}")

async def main():
    task = asyncio.create_task(fail_later())
    asyncio.get_running_loop().call_soon(fail, "{SECRET}")
    await asyncio.wait([task])

asyncio.run(main())
thread = threading.Thread(target=fail, args=["{SECRET}"])
thread.start()
thread.join()
Unclean()
fail("{SECRET}")
"""


def test_what_nobody_has_caught_is_logged_as_all_else_and_not_in_its_own_words():
    said = _said(on_terminal=False, code=UNCAUGHT, exit_code=1)
    told = [json.loads(line) for line in said.splitlines()]
    assert {line["event"] for line in told} == {
        "Exception in callback fail",
        "Task exception was never retrieved",
        "A thread has ended",
        "Could not be cleared up",
        "The process ends",
    }
    assert all(line["exception"].endswith("ValueError") for line in told)
    assert SECRET not in said


def test_people_do_not_get_its_words_either():
    said = _said(on_terminal=True, code=UNCAUGHT, exit_code=1)
    assert said.count("ValueError") == 5
    assert SECRET not in said


def test_a_sentence_of_asyncio_without_quotes_stays_whole():
    log = logging.getLogger("asyncio")
    record = log.makeRecord("asyncio", logging.WARNING, "", 0, "send() raised it.\nby: v", (), None)
    assert json.loads(logs.json().format(record))["event"] == "send() raised it."


def test_another_form_is_refused_in_one_line():
    done = run_cartwake("worker", settings={"CARTWAKE_LOG": "xml"})
    assert done.returncode == 2
    assert done.stderr == "cartwake: CARTWAKE_LOG: 'xml' is neither text nor json\n"


NOWHERE = {
    "CARTWAKE_EDGE__KEYS": '[{"key": "of the tests", "kind": "server"}]',
    "CARTWAKE_EDGE__LISTEN": "127.0.0.1:0",
    "CARTWAKE_EDGE__METRICS_PORT": "0",
    "CARTWAKE_EDGE__SIGNING_KEYS": '["of the tests"]',
    "CARTWAKE_EMAILER__CART_URL": "https://shop.example/cart",
    "CARTWAKE_EMAILER__DIRECTORY": "https://shop.example/customers/{visitor}",
    "CARTWAKE_EMAILER__METRICS_PORT": "0",
    "CARTWAKE_EMAILER__PUBLIC_URL": "https://events.shop.example",
    "CARTWAKE_EMAILER__SENDER": "Tea Shop <hello@shop.example>",
    "CARTWAKE_WORKER__METRICS_PORT": "0",
}


@pytest.fixture
def alone(tmp_path):
    """Run a command without servers until it has said this, and return its lines."""

    def run(command, says, **settings):
        nowhere = f"127.0.0.1:{free_port()}"
        away = {
            "CARTWAKE_KAFKA__BOOTSTRAP": nowhere,
            "CARTWAKE_REDIS__URL": f"redis://{nowhere}/0",
        }
        there = cartwake_environment(NOWHERE | away | settings)
        program = Program(cartwake_command(command), tmp_path / "log", there)
        program.start()
        try:
            wait_until(lambda: says in program.output, f"{command} to say {says}")
            assert program.stop() == 0
        finally:
            program.kill()
        return [json.loads(line) for line in program.output.splitlines()]

    return run


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("worker", "waiting for it"),
        ("edge", "does not acknowledge; trying again"),
        ("emailer", "waiting for it"),
    ],
)
def test_a_process_that_misses_its_servers_says_so_and_every_line_is_an_object(
    alone, command, says
):
    told = alone(command, says)
    assert all(line.keys() >= {"time", "level", "event", "logger"} for line in told)
    assert [line["level"] for line in told if says in line["event"]] == ["warning"]
    assert {line["level"] for line in told} <= {"info", "warning"}


def test_a_worker_writes_what_its_log_level_asks_for(alone):
    told = alone("worker", "waiting for it", CARTWAKE_WORKER__LOG_LEVEL="warning")
    assert {line["level"] for line in told} == {"warning"}
