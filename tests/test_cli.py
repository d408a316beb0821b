import os
import subprocess
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest

import stream
from stream import cli
from stream.config.loading import load
from stream.errors import CartwakeError, UsageError
from tests.rig.processes import REPOSITORY, cartwake_environment

COMMANDS = {
    "demo",
    "topics create",
    "topics check",
    "worker",
    "edge",
    "emailer",
    "webhooks",
    "replay",
    "dead-letters list",
    "dead-letters show",
    "dead-letters replay",
    "doctor",
    "status",
    "tail",
    "completion",
}
LONG_RUNNING = ("worker", "edge", "emailer", "webhooks")


class Calls(list):
    """What was called with what; `answer` is given back, or raised."""

    answer: object = None

    def taking(self, name: str):
        def fake(*positional, **named):
            self.append((name, positional, named))
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer

        return fake


@pytest.fixture
def calls(monkeypatch):
    """Fakes in place of the rooms behind the commands."""
    taken = Calls()
    rooms = {
        "stream.worker.app": ["run_worker"],
        "stream.demo": ["run"],
        "stream.replay": ["run"],
        "stream.admin.topics": ["create", "check"],
        "stream.admin.dead_letters": ["list_", "show", "replay"],
        "stream.edge.serve": ["run"],
        "stream.emailer.serve": ["run"],
        "stream.emailer.preview": ["run"],
        "stream.webhooks.serve": ["run"],
        "stream.admin.doctor": ["run"],
        "stream.admin.status": ["run"],
        "stream.admin.tail": ["run"],
        "stream.admin.trial": ["webhook", "mail"],
        "stream.completion": ["script"],
    }
    own = ("adapters.kafka", "worker", "edge", "emailer", "webhooks", "admin")
    for parent in (f"stream.{name}" for name in own):
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    for name, functions in rooms.items():
        room = ModuleType(name)
        for function in functions:
            setattr(room, function, taken.taking(f"{name}.{function}"))
        monkeypatch.setitem(sys.modules, name, room)
        parent, _, child = name.rpartition(".")
        monkeypatch.setattr(sys.modules[parent], child, room, raising=False)
    for variable in [name for name in os.environ if name.startswith("CARTWAKE_")]:
        monkeypatch.delenv(variable)
    return taken


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "cartwake.toml"
    file.write_text("[session]\nidle_s = 77\n")
    return file


def complaint(capsys, *argv: str) -> str:
    """Run what must be refused as wrong usage, and return its one line."""
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("cartwake: ")
    assert err.count("\n") == 1
    return err


def leaves(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    """Every parser below this one, by what is typed to reach it."""
    found = {}
    for action in parser._actions:
        for name, below in (action.choices or {}).items() if action.nargs == "A..." else ():
            found |= {f"{name} {deeper}".strip(): leaf for deeper, leaf in leaves(below).items()}
    return found or {"": parser}


def test_the_commands_are_those_of_the_contract():
    assert set(leaves(cli.parser())) == COMMANDS


@pytest.mark.parametrize("command", ["", "topics", "dead-letters", *sorted(COMMANDS)])
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as done:
        cli.main([*command.split(), "--help"])
    assert done.value.code == 0
    out = capsys.readouterr().out
    assert "--config FILE" in out
    assert f"Example: cartwake {command}".rstrip() in out


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_example_of_every_command_is_a_valid_one(command, calls, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("march.jsonl.gz", "cartwake.toml"):
        (tmp_path / name).touch()
    example = leaves(cli.parser())[command].epilog.removeprefix("Example: cartwake ")
    assert cli.main(example.split()) == 0
    assert len(calls) == 1


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["--version"])
    assert (done.value.code, capsys.readouterr().out) == (0, f"cartwake {stream.__version__}\n")


def test_the_emailer_shows_its_mails_or_sends_them(calls):
    assert cli.main(["emailer", "--preview"]) == 0
    assert cli.main(["emailer"]) == 0
    assert [name for name, *_ in calls] == [
        "stream.emailer.preview.run",
        "stream.emailer.serve.run",
    ]


def test_the_demo_takes_length_rate_and_seed(calls):
    assert cli.main(["demo", "--seconds", "25", "--rate", "12.5", "--seed", "7"]) == 0
    named = {"seconds": 25, "rate": 12.5, "seed": 7, "settings": load(None, {})}
    assert calls == [("stream.demo.run", (), named)]


def test_the_demo_needs_no_options(calls):
    assert cli.main(["demo"]) == 0
    named = {"seconds": None, "rate": None, "seed": None, "settings": load(None, {})}
    assert calls == [("stream.demo.run", (), named)]


@pytest.mark.parametrize("verb", ["create", "check"])
def test_topics_are_made_and_checked_with_the_settings(verb, calls):
    assert cli.main(["topics", verb]) == 0
    assert calls == [(f"stream.admin.topics.{verb}", (load(None, {}),), {})]


def test_a_worker_runs_with_the_settings_and_its_exit_code_is_ours(calls):
    calls.answer = 70
    assert cli.main(["worker"]) == 70
    assert calls == [("stream.worker.app.run_worker", (load(None, {}),), {})]


BROKEN = """
import asyncio, sys
from stream import cli
from stream.runtime import logs
from stream.errors import CartwakeError

ERRORS = {"defect": ValueError, "people": CartwakeError, "cancelled": asyncio.CancelledError}

def broken(*_):
    raise ERRORS[sys.argv[1]]("zoe@shop.example")

logs.begin = broken
sys.exit(cli.main(sys.argv[2:]))
"""
ENOUGH = {
    "EDGE__KEYS": '[{"key": "k", "kind": "server"}]',
    "EDGE__SIGNING_KEYS": '["k"]',
    "EMAILER__SENDER": "Tea Shop <hello@shop.example>",
    "EMAILER__PUBLIC_URL": "https://events.shop.example",
    "EMAILER__CART_URL": "https://shop.example/cart",
    "EMAILER__DIRECTORY": "customers.csv",
    "WEBHOOKS__ENDPOINTS": '[{"name": "a", "url": "https://a.example", "secrets": ["whsec_AAAA"]}]',
}


def ended_by(error, command):
    """Return how a long-running command ends whose main thread raises this."""
    settings = {f"CARTWAKE_{name}": value for name, value in ENOUGH.items()}
    return subprocess.run(
        [sys.executable, "-c", BROKEN, error, command],
        cwd=REPOSITORY,
        env=cartwake_environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", LONG_RUNNING)
@pytest.mark.parametrize(("error", "kind"), [("defect", "Value"), ("cancelled", "Cancelled")])
def test_what_nobody_has_foreseen_ends_a_long_running_command_with_70(command, error, kind):
    ended = ended_by(error, command)
    assert ended.returncode == 70, ended.stderr
    assert f"{kind}Error while" in ended.stderr
    assert "in broken" in ended.stderr
    assert "zoe" not in ended.stderr


@pytest.mark.parametrize("command", LONG_RUNNING)
def test_what_people_can_mend_ends_a_long_running_command_with_one_line_and_1(command):
    ended = ended_by("people", command)
    assert (ended.returncode, ended.stderr) == (1, "cartwake: zoe@shop.example\n")


def test_a_replay_takes_file_folder_and_drain(calls, tmp_path):
    events = tmp_path / "events.jsonl"
    events.touch()
    assert cli.main(["replay", str(events), "--out", str(tmp_path / "a/b"), "--drain", "0"]) == 0
    (_, _, named) = calls[0]
    assert named == {
        "events": str(events),
        "out": tmp_path / "a/b",
        "settings": load(None, {}),
        "drain_s": 0,
    }


def test_a_replay_reads_stdin_and_drains_2700_seconds_by_default(calls, tmp_path):
    assert cli.main(["replay", "-", "--out", str(tmp_path)]) == 0
    assert (calls[0][2]["events"], calls[0][2]["drain_s"]) == ("-", 2700)


def test_a_replay_reads_a_pipe_of_any_name(calls, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert cli.main(["replay", str(tmp_path / "pipe"), "--out", str(tmp_path)]) == 0


@pytest.mark.parametrize("name", ["missing.jsonl", "folder.jsonl", "events.csv"])
def test_a_replay_of_what_is_not_events_is_refused(name, calls, capsys, tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "events.csv").touch()
    file = tmp_path / name
    assert str(file) in complaint(capsys, "replay", str(file), "--out", str(tmp_path))
    assert calls == []


def test_a_replay_into_a_file_is_refused(calls, capsys, tmp_path):
    (tmp_path / "file").touch()
    for out in ("file", "file/deeper"):
        message = complaint(capsys, "replay", "-", "--out", str(tmp_path / out))
        assert f"{tmp_path / 'file'}: not a folder" in message


def test_a_replay_into_a_folder_that_is_not_ours_is_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert "not a folder that can be written to" in complaint(
        capsys, "replay", "-", "--out", str(tmp_path)
    )


def test_dead_letters_are_listed_by_reason_and_time(calls):
    since = "2026-03-01T12:00:00+02:00"
    assert cli.main(["dead-letters", "list", "--reason", "bad_key", "--since", since]) == 0
    named = {"reason": "bad_key", "since": datetime(2026, 3, 1, 10, tzinfo=UTC)}
    assert calls == [("stream.admin.dead_letters.list_", (load(None, {}),), named)]


def test_a_dead_letter_is_shown_with_its_value_only_when_asked(calls):
    assert cli.main(["dead-letters", "show", "cart-events-3-4711"]) == 0
    assert cli.main(["dead-letters", "show", "--value", "cart-events-3-4711"]) == 0
    given = (load(None, {}), "cart-events-3-4711")
    assert [call[1:] for call in calls] == [(given, {"value": False}), (given, {"value": True})]


def test_dead_letters_are_replayed_dry_or_not(calls):
    assert cli.main(["dead-letters", "replay"]) == 0
    assert cli.main(["dead-letters", "replay", "--dry-run"]) == 0
    assert [named["dry_run"] for _, _, named in calls] == [False, True]
    assert calls[0][2] == {"reason": None, "since": None, "dry_run": False}


def test_a_dry_list_is_a_list(calls):
    assert cli.main(["dead-letters", "list", "--dry-run"]) == 0
    assert calls[0][0].endswith("list_")


def test_a_doctor_is_told_where_the_settings_come_from(calls, config, monkeypatch):
    assert cli.main(["doctor"]) == 0
    monkeypatch.setenv("CARTWAKE_CONFIG", str(config))
    assert cli.main(["doctor"]) == 0
    calls.answer = 1
    assert cli.main(["doctor", "--config", str(config)]) == 1
    assert [given[1] for _, given, _ in calls] == [None, config, config]
    assert all(given[2] is os.environ for _, given, _ in calls)


@pytest.mark.parametrize(
    ("argv", "function", "named"),
    [
        (["webhooks", "--test", "crm"], "stream.admin.trial.webhook", "crm"),
        (["emailer", "--test", "v-1"], "stream.admin.trial.mail", "v-1"),
        (["tail", "--visitor", "v-1"], "stream.admin.tail.run", "v-1"),
        (["tail"], "stream.admin.tail.run", None),
    ],
)
def test_a_test_message_and_a_tail_get_what_was_named(argv, function, named, calls):
    assert cli.main(argv) == 0
    assert calls == [(function, (load(None, {}), named), {})]


@pytest.mark.parametrize(
    ("options", "as_json", "watch"),
    [
        ([], False, False),
        (["--json"], True, False),
        (["--watch"], False, True),
        (["--watch", "--json"], True, True),
    ],
)
def test_the_status_is_shown_once_or_watched_for_people_or_programs(options, as_json, watch, calls):
    assert cli.main(["status", *options]) == 0
    named = {"as_json": as_json, "watch": watch}
    assert calls == [("stream.admin.status.run", (load(None, {}),), named)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:30", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
        ("2026-03-01T12:30:00Z", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
    ],
)
def test_a_time_without_an_offset_is_utc(text, expected, calls):
    assert cli.main(["dead-letters", "list", "--since", text]) == 0
    assert calls[0][2]["since"] == expected


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("1w", timedelta(weeks=1)),
    ],
)
def test_a_duration_counts_back_from_now(text, ago, calls):
    before = datetime.now(UTC)
    assert cli.main(["dead-letters", "list", "--since", text]) == 0
    assert before - ago <= calls[0][2]["since"] <= datetime.now(UTC) - ago


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        ([], "COMMAND"),
        (["wroker"], "there is no command 'wroker'; the nearest is worker"),
        (["e-mailer"], "there is no command 'e-mailer'; the nearest is emailer"),
        (["topics", "chekc"], "there is no command 'chekc'; the nearest is check"),
        (["topics"], "create|check"),
        (["dead-letters", "drop"], "there is no command 'drop'; there are list, show, replay"),
        (["replay", "-"], "--out"),
        (["replay", "--out", "x"], "EVENTS"),
        (["replay", "-", "--out", ".", "--drain", "-1"], "--drain"),
        (["demo", "--seconds", "0"], "--seconds"),
        (["demo", "--seconds", "nan"], "--seconds"),
        (["demo", "--seconds", "soon"], "--seconds"),
        (["demo", "--sec", "5"], "--sec"),
        (["demo", "--rate", "-1"], "--rate"),
        (["demo", "--rate", "inf"], "--rate"),
        (["demo", "--seed", "1.5"], "--seed"),
        (["worker", "extra"], "extra"),
        (["doctor", "redis"], "redis"),
        (["status", "--wat"], "--wat"),
        (["dead-letters", "list", "--since", "yesterday"], "'yesterday'"),
        (["dead-letters", "show", "triggers-3-1"], "'triggers-3-1' is not TOPIC-PARTITION-OFFSET"),
        (["dead-letters", "show", "cart-events-3"], "TOPIC-PARTITION-OFFSET"),
        (["dead-letters", "list", "--since", "999999999w"], "'999999999w'"),
        (["dead-letters", "list", "--since", "0001-01-01T00:00+10:00"], "ISO 8601"),
    ],
)
def test_wrong_usage_is_one_line_that_names_it(argv, named, calls, capsys):
    message = complaint(capsys, *argv)
    assert named in message
    assert "--help)" in message
    assert calls == []


# It needs none: it is about the commands alone.
@pytest.mark.parametrize("command", sorted(COMMANDS - {"completion"}))
def test_every_command_takes_the_configuration_before_and_after_its_name(
    command, calls, config, tmp_path
):
    words = command.split()
    operands = {
        "replay": ["-", "--out", str(tmp_path)],
        "dead-letters show": ["page-views-0-1"],
    }
    rest = operands.get(command, [])
    given = ["--config", str(config)]
    places = [[*words[:n], *given, *words[n:], *rest] for n in range(len(words) + 1)]
    for argv in [*places, [*words, *rest, *given]]:
        assert cli.main(argv) == 0
    for _, positional, named in calls:
        settings = named.get("settings") or positional[0]
        assert settings.session.idle_s == 77


def test_the_configuration_may_be_named_by_the_environment(calls, config, monkeypatch):
    monkeypatch.setenv("CARTWAKE_CONFIG", str(config))
    monkeypatch.setenv("CARTWAKE_WORKER__GROUP", "other")
    assert cli.main(["worker"]) == 0
    settings = calls[0][1][0]
    assert (settings.session.idle_s, settings.worker.group) == (77, "other")


def test_a_wrong_configuration_is_wrong_usage(calls, capsys, tmp_path):
    missing = str(tmp_path / "missing.toml")
    assert missing in complaint(capsys, "worker", "--config", missing)
    assert calls == []


@pytest.mark.parametrize(("error", "code"), [(CartwakeError, 1), (UsageError, 2)])
def test_an_error_for_people_is_one_line_and_its_exit_code(error, code, calls, capsys):
    calls.answer = error("topic triggers has 4 partitions, not 12")
    assert cli.main(["topics", "check"]) == code
    assert capsys.readouterr().err == "cartwake: topic triggers has 4 partitions, not 12\n"


def test_ctrl_c_ends_with_130_and_without_a_word(calls, capsys):
    calls.answer = KeyboardInterrupt()
    assert cli.main(["worker"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("answer", [["a", "b"], iter(["a", "b"]), "a\nb"])
def test_what_a_command_returns_is_printed_line_by_line(answer, calls, capsys):
    calls.answer = answer
    assert cli.main(["topics", "check"]) == 0
    assert capsys.readouterr().out == "a\nb\n"


def python(*argv: str, **streams) -> subprocess.Popen[bytes]:
    root = Path(stream.__file__).parent.parent
    return subprocess.Popen([sys.executable, *argv], cwd=root, **streams)


def test_a_reader_who_has_gone_is_no_reason_for_a_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    code = """
import sys, stream
room = type("Room", (), {"run_worker": lambda _: ["line"] * 99})
sys.modules["stream.worker.app"] = room
from stream.cli import main
sys.exit(main(["worker"]))
"""
    with python("-c", code, stdout=writing, stderr=subprocess.PIPE) as command:
        os.close(writing)
        assert command.communicate()[1] == b""
    assert command.returncode == 1


def test_help_loads_none_of_the_rooms():
    code = (
        "import sys\nfrom stream.cli import main\n"
        "try: main(['replay', '--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    with python("-c", code, stdout=subprocess.PIPE) as command:
        loaded = command.communicate()[0].split()
    unwanted = {b"faust", b"redis", b"river", b"aiokafka", b"stream.adapters", b"pydantic"}
    assert not unwanted & set(loaded)


def test_looking_at_workers_loads_no_models():
    code = "import sys, stream.admin.status\nprint(*sys.modules)"
    with python("-c", code, stdout=subprocess.PIPE) as command:
        loaded = command.communicate()[0].split()
    assert b"stream.learning.snapshot" in loaded
    assert not {b"scipy", b"numpy", b"faust"} & set(loaded)


def test_python_dash_m_stream_is_cartwake():
    with python("-m", "stream", "--version", stdout=subprocess.PIPE) as command:
        assert command.communicate()[0].startswith(b"cartwake ")
    assert command.returncode == 0
